"""wardround site studies | review | approve | refuse | revoke."""

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wardround.cli.site.homes import ByOption, HomeOption, StudyArgument, offers_of, own_card, site_home
from wardround.values.errors import DataError, RefusedError
from wardround.values.printable import printable, printable_lines

if TYPE_CHECKING:
    from wardround.site.daemon.approvals import Decisions
    from wardround.site.daemon.examination import Examination
    from wardround.site.daemon.home import SiteHome
    from wardround.site.daemon.policy import Policy
    from wardround.site.daemon.review import Review
    from wardround.study.declaration import Study

_STATES = {
    "offered": "nobody here has decided",
    "approved": "approved",
    "refused": "refused",
    "revoked": "revoked: nothing is answered",
    "expired": "the approval has expired, or the policy is another now: nothing is answered",
    "finished": "finished",
    "unfit": "unfit",
}


def studies(home: HomeOption = None) -> None:
    """List the studies that the hub has offered to this hospital, and where each stands."""
    from wardround.site.daemon.offers import OfferedStudy
    from wardround.site.daemon.policy import load_policy

    site = site_home(home)
    policy, decisions = load_policy(site.policy_file), _decisions(site)
    listed = list(offers_of(site).readable())
    if not listed:
        typer.echo("None was offered yet. Is the service running? wardround site status")
    for study_hash, offered in listed:
        if isinstance(offered, OfferedStudy):
            state = _state(site, decisions, study_hash, policy)
            typer.echo(f"{study_hash[:12]}  {printable(offered.study.question.title)}\n              {state}")
        else:
            typer.echo(f"{study_hash[:12]}  cannot be read: {printable_lines(offered)}")


def review(
    study: StudyArgument,
    data: Annotated[str | None, typer.Option(help="The data set that would be used: it is read whole.")] = None,
    html: Annotated[Path | None, typer.Option("--html", help="Also write the page to this file, to print or to pass on.")] = None,
    home: HomeOption = None,
) -> None:
    """Show on one page what a study asks, reads, sends and costs, and what stays unprotected."""
    from wardround.site.daemon.policy import load_policy
    from wardround.site.daemon.review import review_of
    from wardround.site.daemon.review_page import write_review

    site = site_home(home)
    offers, policy = offers_of(site), load_policy(site.policy_file)
    offered = offers.get(offers.find(study))
    examined = None if data is None else _examined(site, offered.study, data, policy)
    page = review_of(offered, _state(site, _decisions(site), offered.hash, policy), policy, examined, own_card(site).name)
    _show(page)
    if html is not None:
        write_review(page, html)
        typer.echo(f"\nThe page is in {html}.")
    if examined is None:
        typer.echo(f"\nWith this hospital's data:\n  wardround site review {offered.hash[:12]} --data NAME")
    elif not examined.obstacles:
        typer.echo(f"\nTo approve it:\n  wardround site approve {offered.hash[:12]} --data {data} --by 'YOUR NAME'")


def approve(
    study: StudyArgument,
    data: Annotated[str, typer.Option(help="The data set that the study may use.")],
    by: ByOption,
    days: Annotated[int | None, typer.Option(min=1, help="For how many days (default: as long as the policy allows).")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask; for a person who has reviewed the study before.")] = False,
    home: HomeOption = None,
) -> None:
    """Let the hub's orders of one study be answered, with one data set, until a day. Only a person may run this."""
    from wardround.site.daemon.approvals import DAY_MS, Deciding, require_name
    from wardround.site.daemon.policy import load_policy
    from wardround.site.daemon.review import review_of

    site = site_home(home)
    offers, policy, decisions = offers_of(site), load_policy(site.policy_file), _decisions(site)
    offered = offers.get(offers.find(study))
    if days is not None and days > policy.longest_days:
        raise RefusedError(
            f"The policy allows approvals of at most {policy.longest_days} days", found=str(days), hint="choose fewer --days"
        )
    examined = _examined(site, offered.study, data, policy)
    if examined.obstacles:
        raise RefusedError(
            "The study cannot be approved with this data set",
            found="; ".join(examined.obstacles),
            hint=f"look closer: wardround site review {offered.hash[:12]} --data {data}",
        )
    if not yes:
        _show(review_of(offered, _state(site, decisions, offered.hash, policy), policy, examined, own_card(site).name))
        typer.confirm(f"\nMay the study {offered.hash[:12]} be answered with {data}?", abort=True)
    now_ms = int(time.time() * 1000)
    who = Deciding(by, now_ms, now_ms + (days or policy.longest_days) * DAY_MS)
    until = datetime.fromtimestamp(who.until_ms / 1000, UTC).date().isoformat()
    require_name(by)  # the line comes before the approval: none is in force that the log does not have
    bound = {"task": examined.facts.task} if examined.facts.task else {}
    site.log.append(
        "approved", f"{by} approved the study until {until}.", study=offered.hash, data_set=data, until=until, **bound
    )
    decisions.decide(offered.hash, "approved", examined.facts, policy, who)
    typer.echo(f"Approved until {until}. The hub hears of it at its next question.\nTo take it back:")
    typer.echo(f"  wardround site revoke {offered.hash[:12]} --by 'YOUR NAME'")


def refuse(study: StudyArgument, by: ByOption, home: HomeOption = None) -> None:
    """Say that this hospital does not take part in a study. The hub hears of it."""
    _decide_against(study, by, home, "refused")


def revoke(study: StudyArgument, by: ByOption, home: HomeOption = None) -> None:
    """Take an approval back. Nothing more is answered, not even what is being worked out now."""
    _decide_against(study, by, home, "revoked")


def _decide_against(start: str, by: str, home: Path | None, decision: str) -> None:
    from wardround.site.daemon.approvals import Deciding, Facts
    from wardround.site.daemon.policy import load_policy

    site = site_home(home)
    decisions, policy = _decisions(site), load_policy(site.policy_file)
    study = offers_of(site).find(start)
    before = decisions.of(study)
    if decision == "revoked" and (before is None or before.statement.decision != "approved"):
        raise DataError("There is no approval to take back", hint=f"to say no: wardround site refuse {study[:12]} --by '{by}'")
    now_ms = int(time.time() * 1000)
    facts = Facts() if before is None else before.facts
    who = Deciding(by, now_ms, now_ms)
    decided = decisions.decide(study, "revoked" if decision == "revoked" else "refused", facts, policy, who)
    site.log.append(decision, f"{by} {decision} the study.", study=study, decision=decided.hash)
    typer.echo(f"{decision.capitalize()}. Nothing of the study {study[:12]} is answered from now on.")


def _decisions(home: "SiteHome") -> "Decisions":
    from wardround.site.daemon.approvals import Decisions

    return Decisions(home.studies, own_card(home).name, home.identity)


def _state(home: "SiteHome", decisions: "Decisions", study: str, policy: "Policy") -> str:
    from wardround.site.daemon.desk import state_of

    state, decision = state_of(home, decisions, study, policy, int(time.time() * 1000)), decisions.of(study)
    if state == "approved" and decision is not None:
        until = datetime.fromtimestamp(decision.statement.until / 1000, UTC).date().isoformat()
        whose = f"beforehand by the {decision.statement.by}" if decision.is_beforehand else f"by {decision.statement.by}"
        return f"approved {whose}, until {until}"
    return _STATES[state]


def _examined(home: "SiteHome", study: "Study", data: str, policy: "Policy") -> "Examination":
    from rich.console import Console

    from wardround.site.daemon.data_sets import DataSets
    from wardround.site.daemon.examination import examine

    data_set = DataSets(home.data_file).get(data)
    with Console(stderr=True).status(f"Reading {data} ..."):
        return examine(study, data, data_set, policy, home.ledgers)


def _show(page: "Review") -> None:
    """The page at the width of the terminal; warnings in red. Texts of others do nothing to the terminal."""
    from rich.console import Console
    from rich.padding import Padding
    from rich.text import Text

    from wardround.site.daemon.review import ALARM

    console = Console(highlight=False)
    console.print(Text(printable(page.title), style="bold"))
    console.print(Text(f"study {page.hash}\n{page.state}"))
    for section in page.sections:
        console.print(Text(f"\n{section.title}", style="bold"))
        for sentence in section.sentences:
            alarm = sentence.startswith(ALARM)
            words = f"{'WARNING: ' * alarm}{sentence.removeprefix(ALARM)}"
            text = Text(printable_lines(words), style="red" if alarm else "")
            console.print(Padding(text, (0, 0, 0, 2)))
