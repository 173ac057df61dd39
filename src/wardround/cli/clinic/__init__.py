"""wardround clinic: a model comes back to a hospital, is tested there, and serves."""

import typer

from wardround.cli.clinic import acceptance, demo, deployment, drift, people, proof, register, results, service, watching

app = typer.Typer(
    help="A hospital's clinic: test a model on own patients, put it in service, take it back.", no_args_is_help=True
)
app.command("init")(deployment.init)
app.command("accept")(acceptance.accept)
app.command("card")(acceptance.card)
app.command("criteria")(acceptance.criteria)
app.command("activate")(deployment.activate)
app.command("rollback")(deployment.rollback)
app.command("history")(deployment.history)
app.command("shadow")(deployment.shadow)
app.command("up")(service.up)
app.command("demo")(demo.demo)
app.add_typer(people.users, name="user")
app.add_typer(people.keys, name="key")
app.command("audit")(people.audit)
app.command("outbox")(results.outbox)
app.command("watch")(watching.watch)
app.add_typer(drift.app, name="drift")
app.command("register")(register.register)
app.command("withdraw")(register.withdraw)
app.command("labels")(register.labels)
app.command("retention")(register.retention)
app.command("evidence")(proof.evidence)
app.command("verify")(proof.verify)


@app.callback()
def clinic() -> None:
    """A hospital's clinic: test a model on own patients, put it in service, take it back."""
