"""wardround site: a hospital's side of studies, and what it keeps for itself."""

import typer

from wardround.cli.site import data, joining, ledger, policy, service, studies

app = typer.Typer(
    help="A hospital's side of studies: joining a hub, what may be used, what is approved, what left.", no_args_is_help=True
)
app.command("join")(joining.join)
app.add_typer(data.app, name="data")
app.command("up")(service.up)
app.command("status")(service.status)
app.command("studies")(studies.studies)
app.command("review")(studies.review)
app.command("approve")(studies.approve)
app.command("refuse")(studies.refuse)
app.command("revoke")(studies.revoke)
app.command("policy")(policy.policy)
app.command("log")(policy.log)
app.command("ledger")(ledger.ledger)
app.command("doctor")(service.doctor)
app.command("unit")(service.unit)
app.command("rotate")(joining.rotate)
app.command("go-on")(ledger.go_on)


@app.callback()
def site() -> None:
    """A hospital's side of studies: joining a hub, what may be used, what is approved, what left."""
