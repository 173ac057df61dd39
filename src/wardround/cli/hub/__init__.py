"""wardround hub: the coordinator's side of studies between hospitals."""

import typer

from wardround.cli.hub import dashboard, enrolment, service, studies

app = typer.Typer(
    help="The hub of studies between hospitals: invite hospitals, run studies, see how they stand.", no_args_is_help=True
)
app.command("init")(enrolment.init)
app.command("invite")(enrolment.invite)
app.command("confirm")(enrolment.confirm)
app.command("revoke")(enrolment.revoke)
app.command("up")(service.up)
app.command("dashboard")(dashboard.dashboard)
app.command("run")(studies.run)
app.command("status")(studies.status)
app.command("stop")(studies.stop)
app.command("resume")(studies.resume)
app.command("log")(service.log)
app.command("unit")(service.unit)


@app.callback()
def hub() -> None:
    """The hub of studies between hospitals: invite hospitals, run studies, see how they stand."""
