"""What is in service, by the chained log of the clinic: a state that its lines lead to.

    activate A  -> A answers                 rollback -> what answered before A, or nothing
    shadow B    -> B answers beside, unseen  shadow-end

A line is on the disk or it is not: killed at any instant, the log says one thing. A log that was changed is refused whole, since
nobody could say then which model may answer.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Literal

from wardround.clinic.place.clinic_place import ClinicPlace
from wardround.values.chained_log import CURRENT, Entry, Head, verify
from wardround.values.errors import RunError

Step = Literal["activate", "rollback", "shadow", "shadow-end"]
EMPTY = Head()
STEPS: tuple[Step, ...] = ("activate", "rollback", "shadow", "shadow-end")


@dataclass(frozen=True)
class Deployed:
    """A model that answers. acceptance: the record's id. model: SHA-256 of its ONNX file. number, time: of the line in the log
    that put it there, by a rollback that line."""

    acceptance: str
    model: str
    number: int
    time: str


@dataclass(frozen=True)
class Service:
    """answering: the model that doctors see; None where there is none. shadow: the one whose answers are logged, not shown.
    former: what answered before, the latest last. head: of the log."""

    answering: Deployed | None = None
    shadow: Deployed | None = None
    former: tuple[Deployed | None, ...] = ()
    head: Head = EMPTY


def service_of(clinic: ClinicPlace) -> Service:
    """The state that the log leads to. RunError where its chain is broken or a line cannot follow the one before."""
    with clinic.changing_service():  # or half a line of another process would look like a broken chain
        return _followed(clinic)


def _followed(clinic: ClinicPlace) -> Service:
    log = clinic.log
    head = log.head  # cuts off half a line that a crash left
    check = verify(log.folder)
    if check.problem:
        raise _broken(check.problem)
    return replace(state_of(log.entries()), head=head)


def state_of(entries: Iterable[Entry]) -> Service:
    """The state after these lines."""
    service = Service()
    for entry in entries:
        if entry.code in STEPS:
            service = _after(service, entry)
    return service


def stamp(clinic: ClinicPlace) -> tuple[int, int]:
    """Changes when the log does: a running service asks it, and `service_of` only after a change."""
    try:
        status = (clinic.path / "service" / CURRENT).stat()
    except FileNotFoundError:
        return (0, 0)
    return status.st_mtime_ns, status.st_size


def activate(clinic: ClinicPlace, acceptance: str, model: str, *, by: str, text: str = "", **facts: str) -> Service:
    """Puts a model in service. RunError where it answers already. Whether it may is judged before, in `clinic.acceptance`."""

    def refusal(service: Service) -> str:
        now = service.answering
        return f"The acceptance {acceptance} is in service already" if now and now.acceptance == acceptance else ""

    said = text or f"The model {model[:12]} answers."
    return _append(clinic, "activate", said, refusal, lambda _: {"acceptance": acceptance, "model": model, "by": by, **facts})


def roll_back(clinic: ClinicPlace, *, by: str, reason: str = "") -> Service:
    """Takes the model out of service; the one before it answers again, or none. RunError where none is in service."""

    def refusal(service: Service) -> str:
        return "" if service.answering else "No model is in service"

    def facts(service: Service) -> dict[str, str]:
        before = service.former[-1] if service.former else None
        back = {"acceptance": before.acceptance, "model": before.model} if before else {"acceptance": "", "model": ""}
        return {**back, "by": by, "reason": reason}

    return _append(clinic, "rollback", reason or "The model was taken back.", refusal, facts)


def start_shadow(clinic: ClinicPlace, acceptance: str, model: str, *, by: str) -> Service:
    """A model answers beside the one in service; its answers are logged, not shown. It takes the place of another shadow."""

    def refusal(service: Service) -> str:
        if service.answering and service.answering.acceptance == acceptance:
            return f"The acceptance {acceptance} is in service: it needs no shadow"
        shadowed = service.shadow and service.shadow.acceptance == acceptance
        return f"The acceptance {acceptance} runs in the shadow already" if shadowed else ""

    said = f"The model {model[:12]} answers in the shadow."
    return _append(clinic, "shadow", said, refusal, lambda _: {"acceptance": acceptance, "model": model, "by": by})


def end_shadow(clinic: ClinicPlace, *, by: str) -> Service:
    """No model answers in the shadow any more. RunError where none does."""

    def refusal(service: Service) -> str:
        return "" if service.shadow else "No model runs in the shadow"

    return _append(clinic, "shadow-end", "The shadow ended.", refusal, lambda _: {"by": by})


def _append(
    clinic: ClinicPlace, step: Step, text: str, refusal: Callable[[Service], str], facts: Callable[[Service], dict[str, str]]
) -> Service:
    with clinic.changing_service():
        service = _followed(clinic)
        if problem := refusal(service):
            raise RunError(problem, hint="see what is in service: wardround clinic history")
        clinic.log.append(step, text, **facts(service))
        return _followed(clinic)


def _after(service: Service, entry: Entry) -> Service:
    deployed = _deployed(entry)
    match entry.code:
        case "activate" if deployed:
            shadow = None if service.shadow and service.shadow.acceptance == deployed.acceptance else service.shadow
            return replace(service, answering=deployed, shadow=shadow, former=(*service.former, service.answering))
        case "rollback" if service.answering and service.former:
            back = service.former[-1]
            if (deployed and deployed.acceptance) == (back and back.acceptance):
                return replace(service, answering=deployed, former=service.former[:-1])
        case "shadow" if deployed:
            return replace(service, shadow=deployed)
        case "shadow-end" if service.shadow:
            return replace(service, shadow=None)
    raise _broken(f"line {entry.number}, {entry.code}, cannot follow the lines before it")


def _deployed(entry: Entry) -> Deployed | None:
    acceptance, model = str(entry.facts.get("acceptance", "")), str(entry.facts.get("model", ""))
    return Deployed(acceptance, model, entry.number, entry.time) if acceptance and model else None


def _broken(problem: str) -> RunError:
    return RunError(
        "The log of what is in service cannot be trusted, and no model answers",
        expected="a chain of lines as the clinic wrote them",
        found=problem,
        hint="bring the folder `service` back from a backup",
    )
