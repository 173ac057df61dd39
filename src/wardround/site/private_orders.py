"""What a coordinator may ask in a private study: what the study says, and nothing by which a refusal could tell of a patient.

Everything here is public: no record is read, and nothing is charged for an order that is refused here.
"""

import numpy as np

from wardround.plan.plan import Plan
from wardround.values.errors import RefusedError
from wardround.wire.envelope import unpack_bundle
from wardround.wire.messages import Order, OrderHeader


def require_promised(order: Order, plan: Plan, least: int) -> None:
    """RefusedError for an order that the approved study does not have. least: the public weight of this site alone."""
    _require_step(order.header, plan.study.algorithm.rounds)
    if order.header.step == "train" and order.header.weight < least:
        raise RefusedError(
            "The coordinator states a smaller total than this site's public weight",
            expected=f"at least {least}",
            found=str(order.header.weight),
            code="weight",
        )
    if order.header.step in ("train", "evaluate"):
        _require_model(order, plan.shared_names)
    if not all(np.isfinite(array).all() for array in order.arrays.values()):
        # A model that is not finite gives a gradient of nothing. It would be charged, and help nobody.
        raise RefusedError("The order holds values that are not finite", code="model")


def _require_step(header: OrderHeader, rounds: int) -> None:
    """More rounds than the study has would be charged, and would cost more than the hospital approved; a second name for a round
    would be a second release of it."""
    if header.step == "own" or (header.step == "train" and (header.round > rounds or header.label)):
        raise RefusedError(
            "The order asks for what the approved study does not have",
            expected=f"training of rounds 1 to {rounds}, without a label, and no own models",
            found=f"{header.step} {header.round} {header.label}".strip(),
            code="not-in-study",
        )


def _require_model(order: Order, names: frozenset[str]) -> None:
    found = unpack_bundle(order.arrays).get("model", {})
    if found.keys() != names:
        raise RefusedError(
            "The order's model is not the study's",
            expected=f"{len(names)} arrays",
            found=f"{len(found)}, of which {len(names & found.keys())} have names of the study's",
            code="model",
        )
