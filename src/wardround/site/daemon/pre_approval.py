"""Approvals that the policy gives beforehand: of studies that evaluate a finished model, so many, by these leads, on these data.

    offer --public rules--> counted, on the disk in two places --the data are read--> decision.json, signed "by policy ..."
                 \\--left to a person                                     \\--too few, not ready, others: left to a person

Each study that comes as far as the data is counted, also where it is left to a person then: that it is left may depend on
records, and whoever could ask for nothing, as often as she likes, would count patients by it. What was counted stays counted.

The other hospitals are those of a list, with keys that a person compared: a hub that makes up two hospitals reads the third. And
the first study fixes whom it tests and which hospitals add up. Two sums over patients, or hospitals, that differ by one show that
one by their difference. The same model twice is only the plainest way there, since one that was changed a little does as well;
so the set is bound, and not the model.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, ValidationError

from wardround.site.daemon.approvals import Deciding, Decision, Decisions
from wardround.site.daemon.data_sets import DataSets
from wardround.site.daemon.examination import Examination, examine
from wardround.site.daemon.home import SiteHome
from wardround.site.daemon.policy import Policy, load_policy, not_pre_approved
from wardround.study.declaration import Study
from wardround.values.canonical import canonical_json, sha256_hex
from wardround.values.chained_log import ChainedLog
from wardround.values.durable import write_atomic
from wardround.values.errors import RunError
from wardround.values.home import default_home
from wardround.values.private_files import read_private
from wardround.wire.messages import Hash, Header, NoneOrHash

FILE = "pre_approved.json"
PRE_APPROVED = "pre-approved"
"""Code of the log's line about an approval that a policy gave."""
_LONGEST = 1 << 20
Outcome = Literal["begun", "approved", "left"]
"""begun: the data were looked at, and nothing was decided yet, as after a power cut. left: to a person."""


class Counted(Header):
    """One study that was counted. data_set, tested, hospitals: of an approved one, what it binds: see `Examination.tested`, and a
    hash of names and keys."""

    study: Hash
    model: Hash
    at: int
    outcome: Outcome = "begun"
    data_set: Annotated[str, StringConstraints(max_length=63)] = ""
    tested: NoneOrHash = ""
    hospitals: NoneOrHash = ""


class Count(Header):
    """All studies that were counted, in their order."""

    version: Literal[1] = 1
    studies: tuple[Counted, ...] = Field(default=(), max_length=10_000)

    def of(self, study: str) -> Counted | None:
        return next((one for one in self.studies if one.study == study), None)

    def with_study(self, entry: Counted) -> "Count":
        """The count with this entry, in the place of an earlier one of the same study."""
        if self.of(entry.study) is None:
            return Count(studies=(*self.studies, entry))
        return Count(studies=tuple(entry if one.study == entry.study else one for one in self.studies))

    def joined(self, other: "Count") -> "Count":
        """What either has; of a study that both have, what came of it."""
        count = self
        for entry in other.studies:
            own = count.of(entry.study)
            if own is None or own.outcome == "begun":
                count = count.with_study(entry)
        return count

    def bound(self, data_set: str) -> Counted | None:
        """The first approved study on a data set."""
        return next((one for one in self.studies if one.outcome == "approved" and one.data_set == data_set), None)


@dataclass(frozen=True)
class PreApprovals:
    """The count of one hospital. It stands in its folder and outside of it: a folder that was restored from a backup says less,
    and what either of the two has counts."""

    home: SiteHome

    @property
    def _places(self) -> tuple[Path, Path]:
        folder_hash = sha256_hex(str(self.home.path.resolve()).encode())[:16]
        return self.home.path / FILE, default_home() / "counters" / f"pre-approved-{folder_hash}.json"

    def count(self) -> Count:
        """RunError where a file of it is damaged: nothing is approved beforehand then."""
        first, second = map(_read, self._places)
        return first.joined(second)

    def keep(self, count: Count) -> None:
        """Durably, in both places, before anything follows from it."""
        for path in reversed(self._places):
            write_atomic(path, canonical_json(count.model_dump(mode="json")), private=True)


def _read(path: Path) -> Count:
    content = read_private(path, _LONGEST)
    if content is None:
        return Count()
    try:
        return Count.model_validate_json(content)
    except ValidationError as error:
        raise RunError(
            f"{path} is damaged, so nobody knows how many studies were approved beforehand",
            hint='bring it back from a backup, or set pre_approve = "nothing" in policy.toml; the log knows them: '
            "wardround site log",
        ) from error


def hospitals_of(study: Study) -> str:
    """A hash of who adds up, and under which keys."""
    return sha256_hex(canonical_json(dict(sorted(study.sites.keys.items()))))


@dataclass
class PolicyDesk:
    """Approves what the policy lets it."""

    home: SiteHome
    decisions: Decisions
    log: ChainedLog
    _told: dict[str, str] = field(default_factory=dict, init=False)

    def consider(self, study: Study, policy: Policy, now_ms: int, *, at_work: bool) -> Decision | None:
        """The approval of a study, where the policy gives it; None where it is left to a person, or was decided already.

        now_ms: milliseconds since 1970. at_work: whether the machine works at this hour: no data are read at another."""
        if policy.pre_approve == "nothing" or not at_work or self.decisions.of(study.hash) is not None:
            return None
        kept = PreApprovals(self.home)
        count = kept.count()
        if reasons := tuple(self._public_reasons(study, policy, count)):
            self._leave(study, reasons)
            return None
        entry = count.of(study.hash)
        if entry is None:
            entry = Counted(study=study.hash, model=str(study.evaluation.model), at=now_ms)
            self._log_count(study, entry, len(count.studies) + 1, policy)
            count = count.with_study(entry)
            kept.keep(count)
        return self._decided(study, policy, now_ms, count, entry)

    def _public_reasons(self, study: Study, policy: Policy, count: Count) -> Iterator[str]:
        """Why the study is left to a person, before any record is looked at."""
        yield from not_pre_approved(policy, study, self.decisions.site)
        entry = count.of(study.hash)
        if entry is not None and entry.outcome != "begun":
            yield "it was counted before, and what the policy decides it decides once"
        if entry is None and len(count.studies) >= policy.pre_approve_studies:
            yield f"{len(count.studies)} of {policy.pre_approve_studies} studies were counted already"
        if strangers := sorted(set(policy.pre_approve_data) - DataSets(self.home.data_file).all().keys()):
            yield f"pre_approve_data names {', '.join(strangers)}, which no data set is called"
        if not self._usable(study, policy, count):
            yield "other hospitals add up than in the first study that was approved beforehand"

    def _usable(self, study: Study, policy: Policy, count: Count) -> list[str]:
        """The data sets whose first study has the same hospitals, or that had none yet."""
        bound = {name: count.bound(name) for name in policy.pre_approve_data}
        return [name for name, first in bound.items() if first is None or first.hospitals == hospitals_of(study)]

    def _decided(self, study: Study, policy: Policy, now_ms: int, count: Count, entry: Counted) -> Decision | None:
        """After the count, so that nothing is learnt for nothing."""
        reasons: list[str] = []
        for name in self._usable(study, policy, count):
            examined, reason = self._fits(study, name, policy, count)
            if examined is not None:
                bound = entry.revised(outcome="approved", data_set=name, tested=examined.tested, hospitals=hospitals_of(study))
                return self._approved(study, policy, now_ms, count.with_study(bound), examined)
            reasons.append(reason)
        PreApprovals(self.home).keep(count.with_study(entry.revised(outcome="left")))
        self._leave(study, reasons)
        return None

    def _approved(self, study: Study, policy: Policy, now_ms: int, count: Count, examined: Examination) -> Decision | None:
        """The set is bound and the log has it before an approval is in force. None where somebody changed the policy, or decided,
        while the data were read: the next offer is looked at anew, without another count."""
        if load_policy(self.home.policy_file).hash != policy.hash or self.decisions.of(study.hash) is not None:
            return None
        PreApprovals(self.home).keep(count)
        who, number = Deciding.beforehand(policy, now_ms), [one.study for one in count.studies].index(study.hash) + 1
        sentence = f"The {who.by} approved the study beforehand, number {number} of {policy.pre_approve_studies}."
        facts = {"data_set": examined.data_set, "model": study.evaluation.model, "policy": policy.hash}
        self.log.append(PRE_APPROVED, sentence, study=study.hash, **facts)
        return self.decisions.decide(study.hash, "approved", examined.facts, policy, who)

    def _fits(self, study: Study, name: str, policy: Policy, count: Count) -> tuple[Examination | None, str]:
        """A data set that the study may use, looked at; or None, and why not."""
        bound = count.bound(name)
        try:
            examined = examine(study, name, DataSets(self.home.data_file).get(name), policy, self.home.ledgers)
        except Exception as error:  # noqa: BLE001  the records may have caused it, and another status would tell
            return None, f"{name}: {type(error).__name__}: {error}"
        if examined.obstacles:
            return None, f"{name}: {'; '.join(examined.obstacles)}"
        if bound is not None and bound.tested != examined.tested:
            return (
                None,
                f"{name}: other patients or outcomes would be tested than in the study {bound.study[:12]}, the first on it",
            )
        return examined, ""

    def _log_count(self, study: Study, entry: Counted, number: int, policy: Policy) -> None:
        """The line comes before the count, and the count before the data are read."""
        sentence = (
            f"The policy looks at the study, number {number} of {policy.pre_approve_studies} that it may approve beforehand."
        )
        self.log.append("pre-approving", sentence, study=study.hash, model=entry.model, policy=policy.hash)

    def _leave(self, study: Study, reasons: tuple[str, ...] | list[str]) -> None:
        """Says once why a person has to look."""
        text = "; ".join(reasons)
        if self._told.get(study.hash) != text:
            self._told[study.hash] = text
            self.log.append("not-pre-approved", f"Left to a person: {text}.", study=study.hash)


def counted_in_words(home: SiteHome, policy: Policy) -> Iterator[str]:
    """What stands under `wardround site policy`."""
    count = PreApprovals(home).count()
    if policy.pre_approve == "nothing" and not count.studies:
        return
    yield f"{len(count.studies)} of {policy.pre_approve_studies} studies were counted for approval beforehand"
    for one in count.studies:
        data = f" on {one.data_set}" if one.data_set else ""
        yield f"  {one.study[:12]}  model {one.model[:12]}  {_OUTCOMES[one.outcome]}{data}"


_OUTCOMES: dict[Outcome, str] = {"begun": "looked at", "approved": "approved", "left": "left to a person"}
