"""`python -m wardround` is the command `wardround`."""

from wardround.cli.main import main

if __name__ == "__main__":
    main()
