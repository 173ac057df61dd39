"""A ledger that was changed or restored is known for it, and refused."""

import json
import shutil
import sqlite3
from pathlib import Path

import pytest

from wardround.privacy.ledger.ledger import Ledger, accept_restored
from wardround.privacy.ledger.state import Status

from .charges import DELTA, EPSILON, EVENT, refused


class TestTampering:
    def edit(self, path: Path, statement: str) -> None:
        with sqlite3.connect(path) as connection:
            connection.execute(statement)
        connection.close()

    @pytest.mark.parametrize(
        "statement",
        [
            "UPDATE entries SET content = replace(content, '10.0', '11.0') WHERE number = 2",
            "UPDATE entries SET at = '2020-01-01' WHERE number = 3",
            "UPDATE entries SET kind = 'cancelled' WHERE number = 3",
            "UPDATE entries SET content = 'x' WHERE number = 2",
            "DELETE FROM entries WHERE number = 2",
            "DELETE FROM entries WHERE number = 1",
        ],
    )
    def test_a_changed_entry_shows(self, ledger: Ledger, statement: str) -> None:
        """A ledger that can be edited in silence proves nothing."""
        for release in range(3):
            ledger.charge("s", str(release), EVENT)
        self.edit(ledger.path, statement)
        refused("ledger", lambda: Ledger(ledger.path))

    def test_entries_cut_off_at_the_end_show(self, ledger: Ledger) -> None:
        """The chain alone would not tell; the receipt does. Also to a process that has the ledger open."""
        for release in range(3):
            ledger.charge("s", str(release), EVENT)
        self.edit(ledger.path, "DELETE FROM entries WHERE number = 4")
        refused("ledger-restored", lambda: Ledger(ledger.path))
        refused("ledger-restored", lambda: ledger.charge("s", "4", EVENT))

    def test_a_changed_receipt_shows(self, ledger: Ledger) -> None:
        """Or it would be the easier thing to edit."""
        ledger.charge("s", "1", EVENT)
        receipt = ledger.path.with_name("patients.ledger.receipt")
        receipt.write_text(receipt.read_text().replace('"number":2', '"number":1'))
        refused("ledger", lambda: Ledger(ledger.path))

    def test_a_receipt_fits_no_other_ledger(self, ledger: Ledger, tmp_path: Path) -> None:
        """Two sites' files mixed up: both would look shorter than they are."""
        other = Ledger(tmp_path / "other" / "patients.ledger")
        for one in (ledger, other):
            one.charge("s", "1", EVENT)
        other.path.write_bytes(ledger.path.read_bytes())
        refused("ledger-restored", lambda: Ledger(other.path))

    def test_a_file_that_is_no_ledger_is_refused(self, tmp_path: Path) -> None:
        """Not written over."""
        path = tmp_path / "letter"
        path.write_bytes(b"Dear Sir or Madam, " * 100)
        path.chmod(0o600)  # else its rights are what is refused
        refused("ledger", lambda: Ledger(path))
        assert path.read_bytes().startswith(b"Dear")

    def test_another_programs_database_is_refused(self, tmp_path: Path) -> None:
        """A wrong path must not add a table to somebody's data."""
        path = tmp_path / "registry.db"
        self.edit(path, "CREATE TABLE models (name TEXT)")
        path.chmod(0o600)
        before = path.read_bytes()
        refused("ledger", lambda: Ledger(path))
        assert path.read_bytes() == before

    def test_an_entry_of_a_newer_release_is_refused(self, ledger: Ledger) -> None:
        """What is not understood cannot be counted."""
        from wardround.privacy.ledger.file import LedgerFile, link

        with LedgerFile(ledger.path).alone() as page:
            page.append([link(page.chain_at(1), 2, "2030-01-01", "lent", {})])
        refused("ledger", lambda: ledger.charge("s", "1", EVENT))
        refused("ledger", lambda: ledger.spent())


class TestRestoring:
    @pytest.fixture
    def old(self, bounded: Ledger, tmp_path: Path) -> Ledger:
        """A ledger whose file is put back to where it had 3 of 8 charges."""
        for release in range(8):
            bounded.charge("s", str(release), EVENT)
            if release == 2:
                shutil.copy(bounded.path, tmp_path / "backup")
        shutil.copy(tmp_path / "backup", bounded.path)
        return bounded

    def test_an_older_ledger_is_refused(self, old: Ledger) -> None:
        """Five releases would be forgotten, and could be asked for again."""
        refused("ledger-restored", lambda: Ledger(old.path))
        refused("ledger-restored", lambda: old.charge("s", "9", EVENT))

    def test_a_person_may_accept_it_and_pays_what_the_receipt_knows(self, old: Ledger) -> None:
        """The lost charges count; and until somebody has thought about the budget, nothing is granted."""
        accepted = accept_restored(old.path)
        assert accepted.spent() == {EVENT: 8}
        assert {name: study.charged[EVENT] for name, study in accepted.history().items()} == {"s": 3, "(restored)": 5}
        assert accepted.balance().stopped and accepted.balance().left == 0 and accepted.left(EVENT) == 0
        refused("budget", lambda: accepted.charge("t", "1", EVENT))
        refused("budget", lambda: accepted.plan("t", EVENT, 1))
        accepted.set_budget(EPSILON, DELTA)
        assert accepted.charge("t", "1", EVENT) == Status.RESERVED
        assert Ledger(old.path).spent() == {EVENT: 9}

    def test_also_one_without_a_budget_is_stopped(self, ledger: Ledger) -> None:
        """Whether the lost entries held a budget is not known."""
        ledger.charge("s", "1", EVENT)
        ledger.path.unlink()
        refused("ledger-restored", lambda: Ledger(ledger.path))
        accepted = accept_restored(ledger.path)
        assert accepted.spent() == {EVENT: 1}
        refused("budget", lambda: accepted.charge("s", "2", EVENT))

    def test_a_folder_copied_as_a_whole_is_refused(self, ledger: Ledger, tmp_path: Path) -> None:
        """Ledger and receipt agree, and the original may have gone on."""
        ledger.charge("s", "1", EVENT)
        shutil.copytree(ledger.path.parent, tmp_path / "copy")
        copied = tmp_path / "copy" / ledger.path.name
        refused("ledger-restored", lambda: Ledger(copied))
        assert accept_restored(copied).spent() == {EVENT: 1}
        assert Ledger(ledger.path).spent() == {EVENT: 1}, "the original goes on"

    @pytest.mark.permission
    @pytest.mark.parametrize("witnessed", [True, False], ids=["with a witness", "without one"])
    def test_ledger_and_receipt_that_come_back_to_their_places_are_known_by_the_witness(
        self, tmp_path: Path, witnessed: bool
    ) -> None:
        """A file system's snapshot, or a kept hard link: both agree and lie where they were written; five releases are gone."""
        witness = tmp_path / "home" / "ledger" if witnessed else None
        ledger = Ledger(tmp_path / "site" / "patients.ledger", witness=witness)
        receipt = ledger.path.with_name("patients.ledger.receipt")
        for release in range(8):
            ledger.charge("s", str(release), EVENT)
            if release == 2:
                shutil.copy(ledger.path, tmp_path / "kept")
                (tmp_path / "receipt").hardlink_to(receipt)
        shutil.copy(tmp_path / "kept", ledger.path)
        (tmp_path / "receipt").replace(receipt)
        if not witnessed:  # nothing on the disk tells
            assert Ledger(ledger.path).spent() == {EVENT: 3}
            return
        refused("ledger-restored", lambda: Ledger(ledger.path, witness=witness))
        accepted = accept_restored(ledger.path, witness)
        refused("budget", lambda: accepted.charge("t", "1", EVENT))
        accepted.set_budget(EPSILON, DELTA)
        assert Ledger(ledger.path, witness=witness).charge("t", "1", EVENT) == Status.RESERVED

    @pytest.mark.permission
    def test_a_ledger_that_was_begun_anew_in_its_place_is_known_by_the_witness(self, tmp_path: Path) -> None:
        """It would know of no release, and its new budget would be granted on top of the old one."""
        ledger = Ledger(tmp_path / "site" / "patients.ledger", witness=tmp_path / "home" / "ledger")
        ledger.charge("s", "1", EVENT)
        shutil.rmtree(ledger.path.parent)
        refused("ledger-restored", lambda: Ledger(ledger.path, witness=tmp_path / "home" / "ledger"))
        accept_restored(ledger.path, tmp_path / "home" / "ledger").set_budget(EPSILON, DELTA)
        assert Ledger(ledger.path, witness=tmp_path / "home" / "ledger").spent() == {}

    @pytest.mark.permission
    def test_a_crash_before_the_witness_is_no_restored_backup(self, tmp_path: Path) -> None:
        """A witness that says less is written again at the next look; one that says nothing is named with what to do."""
        witness = tmp_path / "home" / "ledger"
        ledger = Ledger(tmp_path / "site" / "patients.ledger", witness=witness)
        ledger.charge("s", "1", EVENT)
        before = witness.read_bytes()
        ledger.charge("s", "2", EVENT)
        after = witness.read_bytes()
        witness.write_bytes(before)
        assert Ledger(ledger.path, witness=witness).spent() == {EVENT: 2}
        assert witness.read_bytes() == after != before
        witness.write_text("two\n", "utf-8")
        assert str(witness) in str(refused("ledger", lambda: Ledger(ledger.path, witness=witness)).hint)
        witness.unlink()
        assert Ledger(ledger.path, witness=witness).spent() == {EVENT: 2}

    def test_a_lost_receipt_is_as_an_older_ledger(self, ledger: Ledger) -> None:
        """Otherwise deleting it would be the way around it."""
        ledger.charge("s", "1", EVENT)
        ledger.path.with_name("patients.ledger.receipt").unlink()
        refused("ledger-restored", lambda: Ledger(ledger.path))
        assert accept_restored(ledger.path).spent() == {EVENT: 1}

    @pytest.mark.permission
    def test_one_that_is_gone_with_its_receipt_is_refused_by_who_goes_on(self, ledger: Ledger) -> None:
        """In the process that knew it, and in the next one: nothing on the disk tells that there ever was one."""
        ledger.charge("s", "1", EVENT)
        for file in (ledger.path, ledger.path.with_name("patients.ledger.receipt")):
            file.unlink()
        refused("ledger", lambda: Ledger(ledger.path, begin=False))
        assert not ledger.path.exists()
        refused("ledger-restored", lambda: ledger.charge("s", "2", EVENT))
        refused("ledger", lambda: Ledger(ledger.path, begin=False))

    def test_a_sound_ledger_cannot_be_accepted(self, ledger: Ledger) -> None:
        """It would be stopped for nothing."""
        ledger.charge("s", "1", EVENT)
        refused("ledger-step", lambda: accept_restored(ledger.path))

    def test_a_crash_between_commit_and_receipt_is_no_restored_backup(self, ledger: Ledger) -> None:
        """The ledger is newer than its receipt then; the next look writes it again."""
        from wardround.privacy.ledger.file import LedgerFile

        ledger.charge("s", "1", EVENT)
        pen, LedgerFile.write_receipt = LedgerFile.write_receipt, _crash  # type: ignore[assignment,method-assign]
        try:
            with pytest.raises(KeyboardInterrupt):
                ledger.charge("s", "2", EVENT)
        finally:
            LedgerFile.write_receipt = pen  # type: ignore[method-assign]
        assert Ledger(ledger.path).spent() == {EVENT: 2}
        assert json.loads(ledger.path.with_name("patients.ledger.receipt").read_text())["number"] == 3


def _crash(*_: object) -> None:
    raise KeyboardInterrupt
