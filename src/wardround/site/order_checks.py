"""What a coordinator may ask: what the approved study says, of the right sites, once.

Everything here is public: no record is read, and nothing is charged for an order that is refused here. In a private study nothing
by which a refusal could tell of a patient is looked at.
"""

import numpy as np

from wardround.plan.plan import Plan
from wardround.site.masked_participant import another_attempt
from wardround.site.store import SiteState
from wardround.study.declaration import Study
from wardround.values.errors import RefusedError
from wardround.values.ids import SiteId
from wardround.wire.envelope import unpack_bundle
from wardround.wire.messages import Order, OrderHeader


def require_allowed(order: Order, state: SiteState, plan: Plan, site: SiteId) -> None:
    """RefusedError for an order that this site may not follow now."""
    _require_sites(order.header, plan.study, site)
    _require_turn(order, state, plan.study.hash)
    if plan.private is not None:
        require_promised(order, plan, plan.private.weight((site,)))


def require_study(study: str, approved: str) -> None:
    """RefusedError for a message of another study than the one that this site approved."""
    if study != approved:
        raise RefusedError("The message belongs to another study than the one this site approved", code="study")


def _require_sites(header: OrderHeader, study: Study, site: SiteId) -> None:
    require_study(header.study, study.hash)
    if site not in header.cohort:
        raise RefusedError("The order's cohort does not hold this site", code="cohort")
    if len(header.cohort) < study.sites.minimum:
        raise RefusedError(
            f"The cohort has {len(header.cohort)} sites, the study asks for {study.sites.minimum}", code="cohort-too-small"
        )


def _require_turn(order: Order, state: SiteState, study: str) -> None:
    """Whether the order comes when it may: after the opening, and no training round a second time."""
    header = order.header
    if header.step != "open" and state.study != study:
        raise RefusedError("This site has not opened this study", code="not-open")
    if header.step == "open" and state.round:
        # Opening anew would forget which rounds were answered, and let them be asked again over another cohort.
        raise RefusedError("This site has trained in this study already; it does not open it again", code="already-open")
    if header.step == "train" and header.round <= state.round and not another_attempt(state, order):
        raise RefusedError(f"Round {header.round} is over: this site has answered round {state.round}", code="old-round")


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
    model = unpack_bundle(order.arrays).get("model", {})
    if model.keys() != names:
        raise RefusedError(
            "The order's model is not the study's",
            expected=f"{len(names)} arrays",
            found=f"{len(model)}, of which {len(names & model.keys())} have names of the study's",
            code="model",
        )
