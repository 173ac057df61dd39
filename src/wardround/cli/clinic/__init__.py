"""wardround clinic: a model comes back to a hospital, is tested there, and serves."""

import typer

from wardround.cli.clinic import deployment

app = typer.Typer(
    help="A hospital's clinic: test a model on own patients, put it in service, take it back.", no_args_is_help=True
)
app.command("init")(deployment.init)


@app.callback()
def clinic() -> None:
    """A hospital's clinic: test a model on own patients, put it in service, take it back."""
