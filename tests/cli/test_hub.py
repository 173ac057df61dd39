"""wardround hub: what it prints about a hub and its studies, and what it refuses."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from wardround.cli.hub.standing import hub_lines, study_lines
from wardround.cli.main import app
from wardround.cli.wrapping import WIDTH
from wardround.hub.daemon.home import HubHome
from wardround.hub.daemon.status import Lines, hub_view, study_view
from wardround.hub.daemon.studies import fitted
from wardround.hub.daemon.study_state import ExchangeNow, RoundLine, StudyState
from wardround.values.errors import EngineError, RunError, StudyError

from ..federation.private_studies import private_study
from ..federation.tiny_federation import study
from ..hub.daemon.hub_ward import HubWard, hub_ward

HOSTILE = "Tiny \x1b[2J\n<b>"


@dataclass(frozen=True)
class Member:
    """A hospital in the roster."""

    name: Any
    state: str
    words: str = "one two three four five six seven eight"


MEMBERS = (Member("east", "confirmed"), Member("st-anna", "waiting"), Member("old", "revoked"))


def view_of(hub: HubWard, states: dict[str, StudyState], damaged: dict[str, str] | None = None) -> dict[str, Any]:
    from wardround.hub.daemon.studies import StudyFolder

    listed = [(StudyFolder(hub.home.study(one)), state) for one, state in states.items()]
    return hub_view(hub.home, MEMBERS, listed, lines=Lines(), damaged=damaged or {}, up=False)


def running(state: StudyState) -> StudyState:
    asked = ("east", "north", "south")
    now = ExchangeNow(step="train", number=3, rounds=5, asked=asked, answered=("east",), since=1)
    lines = (
        RoundLine(number=1, seconds=12.34, loss=0.71234, score=0.5),
        RoundLine(number=2, seconds=9.0, lost={"north": "no-answer"}, discarded="validation-drop"),
    )
    on = state.to("running").revised(exchange=now, rounds=lines, score_name="AUC")
    return on.with_site("north", state="hours").with_site(
        "south", state="unproved", fault="its approval has expired", word="policy"
    )


GOLDEN_HUB = """\
The hub at hub.test:443 is not up: wardround hub up.
  east                 confirmed
  st-anna              waiting: wardround hub confirm st-anna
  old                  revoked

HASH--------  Tiny
              running: round 3 of 5, waits for north, south."""

GOLDEN_STUDY = """\
Tiny
study HASH
masked sum, 5 rounds
running: round 3 of 5, waits for north, south.

  east                 unheard
  north                approved, not at work at this hour
  south                unproved: its approval has expired; last refusal of an
                       order: policy

  round       AUC     loss  seconds  without
      1    0.5000   0.7123     12.3
      2         –        –      9.0  north (no-answer); not used:
                                    validation-drop"""


def test_status_is_what_it_always_was(tmp_path: Path) -> None:
    """People read it every morning, and scripts of theirs as well."""
    with hub_ward(tmp_path) as hub:
        folder = hub.submit(study(mode="masked", rounds=5, collusion=0))
        state = running(folder.state)
        view = view_of(hub, {folder.hash: state})
        assert "\n".join(hub_lines(view)).replace(folder.hash[:12], "HASH--------") == GOLDEN_HUB
        assert "\n".join(study_lines(view["studies"][0])).replace(folder.hash, "HASH") == GOLDEN_STUDY


def test_no_line_is_wider_than_a_terminal_and_no_text_obeyed(tmp_path: Path) -> None:
    """A title with an escape sequence could clear the screen, or write another's approval on it."""
    with hub_ward(tmp_path) as hub:
        folder = hub.submit(study(mode="masked", rounds=30, collusion=0).revised(question={"title": HOSTILE + " word" * 36}))
        long = running(folder.state).revised(reason="because " * 60, mend="wardround hub resume " * 20)
        long = long.revised(
            rounds=tuple(RoundLine(number=k, lost={"north": "no-answer"} if k == 29 else {}) for k in range(1, 31))
        )
        view = view_of(hub, {folder.hash: long}, {"ab" * 32: "broken " * 40})
        lines = [*hub_lines(view), *study_lines(view["studies"][0])]
    assert max(map(len, lines)) <= WIDTH and not any(sign in line for line in lines for sign in "\x1b\n")
    assert any("18 rounds before these" in line for line in lines)


def test_a_private_study_says_what_it_is_planned_to_cost(tmp_path: Path) -> None:
    """The hub's people answer for the sum of what they ask."""
    with hub_ward(tmp_path) as hub:
        folder = hub.submit(private_study(rounds=2))
        lines = list(study_lines(study_view(folder, folder.state.revised(epsilon=3.25, delta=1e-3))))
    assert "epsilon 3.2500 planned in all, at delta 0.001" in lines


def run(*words: str, home: Path) -> Any:
    return CliRunner().invoke(app, ["hub", *words, "--home", str(home)])


def test_the_commands_begin_with_a_hub(tmp_path: Path) -> None:
    """Each names the command that makes one."""
    for command in (["status"], ["run", str(tmp_path / "s.toml")], ["invite", "st-anna"], ["up"]):
        (tmp_path / "s.toml").write_text(study_text())
        ended = run(*command, home=tmp_path / "hub")
        assert isinstance(ended.exception, RunError) and "wardround hub init" in str(ended.exception), command


def study_text() -> str:
    from wardround.study.writing import to_toml

    return to_toml(study(mode="masked", rounds=1, collusion=0))


def test_from_init_to_a_study_that_nobody_can_take_part_in(tmp_path: Path) -> None:
    """The first thing that a new user tries too early."""
    home = tmp_path / "hub"
    assert run("init", "--address", "hub.test:443", home=home).exit_code == 0
    again = run("init", "--address", "other.test:443", home=home)
    assert isinstance(again.exception, StudyError) and "another address" in str(again.exception)
    assert run("init", "--address", "nonsense", home=home).exit_code == 2
    told = run("status", home=home)
    assert told.exit_code == 0 and "wardround hub invite NAME" in told.output and "wardround hub run" in told.output
    (tmp_path / "s.toml").write_text(study_text())
    early = run("run", str(tmp_path / "s.toml"), home=home)
    assert isinstance(early.exception, StudyError) and "wardround hub invite" in str(early.exception)


def test_what_the_first_commands_print_stands_in_80_columns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are read over the shoulder, on a terminal of any width."""
    monkeypatch.chdir(tmp_path)
    made = run("init", "--address", "hub.example.org:443", home=Path("h"))
    invited = run("invite", "st-anna", home=Path("h"))
    lines = [*made.output.splitlines()[1:], *invited.output.splitlines()]  # the first line has this machine's folder
    assert invited.exit_code == 0 and max(map(len, lines)) <= WIDTH
    assert "st-anna.invitation.toml" in lines and (tmp_path / "st-anna.invitation.toml").exists()


def test_two_hospitals_are_told_once_what_to_do(tmp_path: Path) -> None:
    """The hint for two hospitals came inside another hint, which said to change "that setting"."""
    with hub_ward(tmp_path, ("east", "north")) as hub, pytest.raises(StudyError) as error:
        fitted(study(mode="masked").revised(sites={"names": (), "keys": {}}), hub.roster)
    assert str(error.value).count("What to do:") == 1 and "summation.collusion = 0" in error.value.hint


def test_status_as_json_is_one_object(tmp_path: Path) -> None:
    """It is for programs: nothing else may stand on standard output."""
    with hub_ward(tmp_path) as hub:
        folder = hub.submit(study(mode="masked", rounds=5, collusion=0))
        value = json.loads(run("status", "--json", home=hub.home.path).stdout)
        assert value["studies"][0]["study"] == folder.hash and value["studies"][0]["phase"] == "offered"
        assert value["hub"]["up"] is False and value["damaged"] == []
        (folder.path / "state.json").write_bytes(b"{}")
        value = json.loads(run("status", "--json", home=hub.home.path).stdout)
        assert value["studies"] == [] and value["damaged"][0]["study"] == folder.hash


def test_stop_and_resume_reach_a_hub_that_is_not_up(tmp_path: Path) -> None:
    """It obeys when it is: nobody has to remember."""
    with hub_ward(tmp_path) as hub:
        folder = hub.submit(study(mode="masked", rounds=5, collusion=0))
        assert "when the hub is up" in run("stop", folder.hash[:8], home=hub.home.path).output
        assert folder.wish is not None and folder.wish.wish == "stop"
        first = folder.wish.number
        run("resume", "tiny", home=hub.home.path)
        assert folder.wish is not None and (folder.wish.wish, folder.wish.number > first) == ("resume", True)
        missing = run("stop", "ffff", home=hub.home.path)
        assert isinstance(missing.exception, StudyError) and "wardround hub status" in str(missing.exception)


def test_waiting_for_a_study_ends_with_its_phase(tmp_path: Path) -> None:
    """A script that runs it must not go on as if there were a model."""
    with hub_ward(tmp_path) as hub:
        folder = hub.submit(study(mode="masked", rounds=5, collusion=0))
        folder.keep(folder.state.to("declined", reason="Refused by north.", mend="agree with north"))
        from wardround.cli.hub.studies import _watch

        with pytest.raises(EngineError, match="declined"):
            _watch(folder)


@pytest.mark.slow
def test_the_page_cannot_be_opened_of_a_hub_that_is_not_up(tmp_path: Path) -> None:
    """An address that leads nowhere is no help."""
    run("init", "--address", "hub.test:443", home=tmp_path)
    ended = run("dashboard", home=tmp_path)
    assert isinstance(ended.exception, RunError) and "wardround hub up" in str(ended.exception)
    with HubHome(tmp_path).in_use():
        assert isinstance(run("dashboard", home=tmp_path).exception, RunError)  # up, and not as far as its page
