"""wardround audit: attacks the privacy that a study states, with the code that the study runs."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from wardround.audit.crafted_worlds import MaliciousModel
    from wardround.audit.study_audit import Attack, StudyAudit


def audit(
    path: Annotated[Path, typer.Argument(metavar="STUDY", help="The private study (TOML).")],
    trials: Annotated[
        int, typer.Option(min=1000, max=10_000_000, help="Made-up patients in the attack on noised sums.")
    ] = 200_000,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout, and nothing else there.")] = False,
) -> None:
    """Attack the privacy that a study states, and bound the epsilon that is surely spent. Reads no data of a hospital."""
    import json
    import time

    from rich.console import Console

    from wardround.audit.study_audit import FALSE_ALARM, audit_study
    from wardround.plan.pricing import with_noise
    from wardround.study.reading import load_study
    from wardround.values.errors import AuditError

    study, began = with_noise(load_study(path)), time.monotonic()
    with Console(stderr=True).status("Attacking noised sums and training, for about a minute …"):
        seen = audit_study(study, trials, _quiet if as_json else _print_attack)
    seconds = time.monotonic() - began
    if as_json:
        facts = {"study": study.hash, "mode": study.privacy.mode, "unit": study.privacy.unit, "confidence": 1 - FALSE_ALARM}
        typer.echo(json.dumps(facts | _audit_json(seen) | {"seconds": round(seconds, 1)}, allow_nan=False))
    else:
        typer.echo(f"\n{seen.verdict}\n{seconds:.0f} seconds")
    if seen.refuted:
        raise AuditError(
            "An attack shows more of epsilon than the study states",
            expected=f"epsilon at most {seen.epsilon:.3g} at delta {seen.delta:g}",
            found=seen.verdict,
            hint="run no study on real patients with this installation; run the audit again, and report it if it fails again",
        )


def _quiet(attack: "Attack | MaliciousModel") -> None:
    """Standard output holds the JSON object alone."""


def _print_attack(attack: "Attack | MaliciousModel") -> None:
    from wardround.audit.crafted_worlds import MaliciousModel

    if isinstance(attack, MaliciousModel):
        verdict = "MORE THAN STATED" if attack.refuted else "below"
        where = f"malicious model, {attack.worlds} pairs of worlds, the study's network"
        typer.echo(f"{where}: one patient may move the clipped sum by 1 clip norm, moved it by {attack.moved:.4f}, {verdict}")
        return
    proved = attack.comparison
    verdict = "MORE THAN STATED" if proved.refuted else "below"
    where = f"{attack.name}, {attack.steps} steps, {attack.canaries} canaries, bound by {attack.bound}, delta {proved.delta:g}"
    typer.echo(f"{where}: stated {proved.stated:.3f}, shown {proved.audited:.3f}, {verdict}")


def _malicious_json(seen: "StudyAudit") -> dict[str, Any] | None:
    from wardround.values.canonical import finite_or_none

    attack = seen.malicious
    if attack is None:
        return None
    return {"worlds": attack.worlds, "moved": finite_or_none(attack.moved), "refuted": attack.refuted}


def _audit_json(seen: "StudyAudit") -> dict[str, Any]:
    from wardround.values.canonical import finite_or_none

    return {
        "delta": seen.delta,
        "epsilon": finite_or_none(seen.epsilon),
        "shown": finite_or_none(seen.shown),
        "refuted": seen.refuted,
        "malicious_model": _malicious_json(seen),
        "verdict": seen.verdict,
        "attacks": [
            {
                "attack": attack.name,
                "bound": attack.bound,
                "canaries": attack.canaries,
                "steps": attack.steps,
                "delta": attack.comparison.delta,
                "stated": finite_or_none(attack.comparison.stated),
                "shown": finite_or_none(attack.comparison.audited),
                "refuted": attack.comparison.refuted,
            }
            for attack in seen.attacks
        ],
    }
