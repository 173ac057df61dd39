"""wardround evidence STUDY | verify FILE ..."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wardround.cli.site.homes import HomeOption, offers_of, own_card, site_home
from wardround.cli.wrapping import wrapped
from wardround.values.errors import RunError
from wardround.values.printable import printable

if TYPE_CHECKING:
    from wardround.site.daemon.home import SiteHome

VERIFY = "verify"


def evidence(
    words: Annotated[
        list[str], typer.Argument(metavar="STUDY | verify FILE ...", help="A study of this hospital; or files to look at.")
    ],
    out: Annotated[Path | None, typer.Option(help="The zip to write (default: evidence-HASH.zip); it is replaced.")] = None,
    home: HomeOption = None,
) -> None:
    """Write a zip for an auditor: study, decision, policy, log, ledger, versions. `verify` looks at such zips, offline."""
    if words[0] == VERIFY and len(words) > 1:
        _verify([Path(word) for word in words[1:]])
    elif len(words) == 1 and words[0] != VERIFY:
        _write(words[0], out, site_home(home))
    else:
        raise typer.BadParameter("name one study, or: verify FILE ...", param_hint="STUDY")


def _write(start: str, out: Path | None, home: "SiteHome") -> None:
    from wardround.evidence.pack import write_pack

    study = offers_of(home).find(start)
    path = out or Path(f"evidence-{study[:12]}.zip")
    write_pack(path, own_card(home).name, study, _files(home, study), home.identity)
    typer.echo(f"The evidence:\n{path}")
    typer.echo("It names this hospital's data set and people, and holds no record of a patient.")
    typer.echo(f"To look at it, anywhere:\nwardround evidence verify {path}")


def _files(home: "SiteHome", study: str) -> dict[str, bytes]:
    from wardround.evidence import pack
    from wardround.site.daemon import offers
    from wardround.values.chained_log import log_files

    folder = home.study(study)
    files = {pack.OFFER: (folder / offers.FILE).read_bytes()}
    files[pack.STUDY] = json.loads(files[pack.OFFER])["study"].encode()
    files |= _decisions(home, folder)
    if home.policy_file.exists():
        files[pack.POLICY] = home.policy_file.read_bytes()
    home.log.append("evidence", "Evidence of the study was written.", study=study)
    return files | {f"{pack.LOG}{path.name}": path.read_bytes() for path in log_files(home.path / "log")}


def _decisions(home: "SiteHome", folder: Path) -> dict[str, bytes]:
    """Every decision about a study, and the policies and ledgers that they name; of what a policy decided, how often it did."""
    from wardround.evidence import pack
    from wardround.site.daemon import approvals
    from wardround.site.daemon.policy import load_policy

    paths = {f"{pack.DECISIONS}{path.name}": path for path in approvals.kept_files(folder)}
    if (folder / approvals.FILE).exists():
        paths = {pack.DECISION: folder / approvals.FILE, **paths}
    files = {name: path.read_bytes() for name, path in paths.items()}
    made = [approvals.read_decision(path, files[name]) for name, path in paths.items()]
    today = load_policy(home.policy_file)  # of a decision that an earlier release kept, the policy may be today's still
    rules = {today.hash: today.rules} | {path.stem: path.read_bytes() for path in (folder / approvals.POLICIES).glob("*.json")}
    named = {one.statement.policy for one in made}
    files |= {f"{pack.POLICIES}{one}.json": rules[one] for one in sorted(named & rules.keys())}
    files |= _ledgers(home, [one.facts.ledger for one in made])
    return files | (_pre_approvals(home) if any(one.is_beforehand for one in made) else {})


def _pre_approvals(home: "SiteHome") -> dict[str, bytes]:
    """Of a study that a policy approved: the count of such studies."""
    from wardround.evidence import pack
    from wardround.site.daemon.pre_approval import PreApprovals
    from wardround.values.canonical import canonical_json

    return {pack.PRE_APPROVED: canonical_json(PreApprovals(home).count().model_dump(mode="json"))}


def _ledgers(home: "SiteHome", names: list[str]) -> dict[str, bytes]:
    """Of a private study: every entry of its patients' ledger, with its hash. names: of the decisions, the one in force first;
    where an earlier one named another ledger, that is in it as well."""
    import dataclasses

    from wardround.evidence import pack
    from wardround.privacy.ledger.file import witness_of
    from wardround.privacy.ledger.ledger import Ledger
    from wardround.site.daemon.examination import ledger_path

    files: dict[str, bytes] = {}
    for name in dict.fromkeys(filter(None, names)):
        path = ledger_path(home.ledgers, name)
        ledger = Ledger(path, begin=False, witness=witness_of(path))
        entries = json.dumps([dataclasses.asdict(entry) for entry in ledger.entries()]).encode()
        files[f"{pack.LEDGERS}{name}.json" if files else pack.LEDGER] = entries
    return files


def _verify(paths: list[Path]) -> None:
    from wardround.evidence.pack_check import check_pack, lines_in_common, split_views

    checks = tuple(check_pack(path) for path in paths)
    for check in checks:
        typer.echo(printable(f"{check.path}:"))
        typer.echo(printable(f"{check.site}, study {check.study[:12]}, key {check.identity[:20]}"))
        for sentence in check.confirmed:
            _echo(f"yes  {sentence}", 2, 7)
        for sentence in check.problems:
            _echo(f"NO   {sentence}", 2, 7)
    splits = split_views(checks)
    for sentence in splits:
        _echo(f"NO   {sentence}", 0, 5)
    if len(checks) > 1 and not splits:
        common = lines_in_common(checks)
        agreed = f"they heard {common} heads of the hub's log in common, and all agree" if common else "no head to compare"
        _echo(f"No split view was found: {agreed}.")
    if splits or any(check.problems for check in checks):
        raise RunError("The evidence is not as it was signed", hint="ask the hospital for a new one, and who has changed this")
    typer.echo(
        "If this study's hash is the one that you know from elsewhere,\nall of this was said by the hospital that it lists."
    )


def _echo(sentence: str, indent: int = 0, hanging: int = 0) -> None:
    """Lines of 80 columns."""
    for line in wrapped(sentence, indent=indent, hanging=hanging):
        typer.echo(line)
