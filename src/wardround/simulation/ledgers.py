"""What the simulated hospitals agree on before a private run, and what their ledgers hold after it."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from wardround.hub.run_folder import RunFolder
from wardround.plan.plan import Plan
from wardround.plan.pricing import privacy_of
from wardround.privacy.events import Unit
from wardround.privacy.ledger.file import witness_of
from wardround.privacy.ledger.ledger import Ledger
from wardround.site.store import STATE
from wardround.study.declaration import Study
from wardround.study.record.run_record import PrivacyRecord
from wardround.values.errors import StudyError

LEDGER = "ledger.sqlite"


@dataclass(frozen=True)
class Ledgers:
    """Where the simulated hospitals keep their ledgers. kept: a folder of ledgers that outlive the run, one a hospital, whose
    budgets were set with `wardround site ledger`; None for new ones in the run folder."""

    folder: RunFolder
    kept: Path | None = None

    def path_of(self, site: str) -> Path:
        return self.folder.site(site) / LEDGER if self.kept is None else self.kept / f"{site}.sqlite"

    def witness_of(self, site: str) -> Path | None:
        """Of a ledger that outlives the run, as `wardround site ledger` keeps it; one in the run folder has none."""
        return None if self.kept is None else witness_of(self.path_of(site))

    def ready(self, study: Study, sites: Iterable[str]) -> None:
        """A kept ledger must be there, with a budget: a name that was mistyped would be a hospital without one. In a new one the
        hospital grants what the study states, and no more; a study that states no epsilon is recorded and refused nothing. None
        is begun for a hospital that is at work already: it must find its own."""
        privacy = study.privacy
        if not privacy.private:
            return
        for site in sites:
            path = self.path_of(site)
            if self.kept is not None:
                _require_budget(path, privacy.unit)
                continue
            at_work = (self.folder.site(site) / STATE).exists() or self.folder.counter(site).exists()
            ledger = Ledger(path, begin=not at_work)
            granted = None if privacy.noise_multiplier == 0 else privacy.epsilon
            if granted is not None and privacy.delta is not None and ledger.balance(privacy.unit).budget is None:
                ledger.set_budget(granted, privacy.delta, privacy.unit)


def _require_budget(path: Path, unit: Unit) -> None:
    if not path.exists() or Ledger(path, begin=False, witness=witness_of(path)).balance(unit).budget is None:
        raise StudyError(
            f"The ledger {path} has no budget for one {unit}",
            expected="a ledger for each hospital, with a budget",
            found="a ledger without one" if path.exists() else "no file",
            hint=f"wardround site ledger {path} --epsilon E --delta D" + ("" if unit == "patient" else f" --unit {unit}"),
        )


def privacy_record(study: Study, sites: tuple[str, ...], ledgers: Ledgers) -> PrivacyRecord | None:
    """None where the study claims no differential privacy."""
    promised = privacy_of(Plan(study))
    if promised is None:
        return None
    spent: dict[str, float | None] = {}
    entries: dict[str, int] = {}
    for site in sites:
        ledger = Ledger(ledgers.path_of(site), begin=False, witness=ledgers.witness_of(site))
        spent[site] = ledger.epsilon_spent(promised.unit, promised.delta)
        entries[site] = ledger.history()[study.hash].entry
    return PrivacyRecord(**{**dict(promised), "spent": spent, "ledger_entries": entries})
