"""The job as a plain PyTorch loop: no federation software at all."""
