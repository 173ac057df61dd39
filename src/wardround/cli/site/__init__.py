"""wardround site: a hospital's side of studies, and what it keeps for itself."""

import typer

from wardround.cli.site import ledger

app = typer.Typer(help="What a hospital keeps for itself: its privacy ledger, and why it stopped.", no_args_is_help=True)
app.command("ledger")(ledger.ledger)
app.command("go-on")(ledger.go_on)


@app.callback()
def site() -> None:
    """What a hospital keeps for itself: its privacy ledger, and why it stopped."""
