"""What a coordinator may ask: what the approved study says, of the right sites, once.

Everything here is public: no record is read, and nothing is charged for an order that is refused here.
"""

from wardround.analysis.carrying import exchange_of
from wardround.analysis.protocol import Analysis
from wardround.plan.permission import AGAIN, PlannedOrder, require_listed_hospitals
from wardround.plan.plan import Plan
from wardround.site.masked_participant import another_attempt
from wardround.site.store import SiteState
from wardround.study.declaration import Study
from wardround.summation.masked.layout import content_of
from wardround.values.errors import RefusedError
from wardround.values.ids import SiteId
from wardround.wire.messages import Order, OrderHeader

_IN_ORDER = ("train", "own", "evaluate", "personal", "close")


def require_allowed(order: Order, planned: PlannedOrder, state: SiteState, plan: Plan, site: SiteId) -> None:
    """RefusedError for an order of the study's list that this site may not follow now."""
    _require_cohort(order.header, plan.study, site)
    _require_turn(order, planned, state, masked=plan.masked)
    if plan.masked and order.header.step != "open" and order.header.opening != state.opened:
        raise RefusedError(
            "The order names another opening than the one that this site has: it would work with another model than the others",
            expected=state.opened[:12],
            found=order.header.opening[:12] or "none",
            code="opening",
        )
    if planned.weighted:
        _require_weight(order.header, state, plan, site)
    if plan.analysis is not None and planned.step == "evaluate":
        _require_next_sum(planned, state, plan.analysis)


def require_study(study: str, approved: str) -> None:
    """RefusedError for a message of another study than the one that this site approved."""
    if study != approved:
        raise RefusedError("The message belongs to another study than the one this site approved", code="study")


def _require_cohort(header: OrderHeader, study: Study, site: SiteId) -> None:
    if site not in header.cohort:
        raise RefusedError("The order's cohort does not hold this site", code="cohort")
    if study.sites.names and not set(header.cohort) <= set(study.sites.names):
        raise RefusedError("The order's cohort holds a site that the study does not name", code="cohort")
    if len(header.cohort) < study.sites.minimum:
        raise RefusedError(
            f"The cohort has {len(header.cohort)} sites, the study asks for {study.sites.minimum}", code="cohort-too-small"
        )
    if header.step == "open":
        require_listed_hospitals(study, header.cohort)


def _require_turn(order: Order, planned: PlannedOrder, state: SiteState, *, masked: bool) -> None:
    """Whether the order comes when it may: after the opening, before the closing, and not a second time."""
    header = order.header
    if state.closed:
        raise RefusedError("The study is closed at this site", code="closed")
    if header.step != "open" and not state.study:
        raise RefusedError("This site has not opened this study", code="not-open")
    content = state.asked.get(planned.name)
    if content is not None and content != content_of(order):
        raise RefusedError(f"{planned.name} was asked before, with something else", code="other-content")
    if another_attempt(state, order):
        return
    if header.step == "open":
        _require_opening(order, planned, state, masked=masked)
    if header.step == "train" and header.round <= state.round:
        raise RefusedError(f"Round {header.round} is over: this site has answered round {state.round}", code="old-round")
    if content is None:
        _require_forward(planned, state)
    if header.step in ("own", "evaluate", "personal", "close") and content is not None:
        raise RefusedError(f"{planned.name} was answered before, in an order with other bytes", code="asked-before")


def _require_opening(order: Order, planned: PlannedOrder, state: SiteState, *, masked: bool) -> None:
    """Whether the study may be opened at this site, with the same model as before.

    Opening anew after the first round would forget which rounds were answered, and let them be asked again over another cohort.
    Before it, the next opening of the list may be asked, since the one before may never open; the masks see to its set."""
    if state.opened and content_of(order) != state.opened:
        raise RefusedError("The study was opened with something else before", code="other-content")
    begun = any(not name.startswith("open/") for name in state.asked) or state.round > 0
    again = any(name.endswith(f"/{AGAIN}") for name in state.asked)
    if state.study and (begun or again or planned.label == AGAIN or (masked and planned.number <= state.opening)):
        raise RefusedError("This site has opened this study already", code="already-open")


def _require_forward(planned: PlannedOrder, state: SiteState) -> None:
    """Whether no later step has begun: rounds, own models, evaluations, personal models, closing. An honest run never goes
    back, also after a crash, since its checkpoint does not. A coordinator that could would fit the models of later rounds to what
    the evaluation, of patients that no round shows, has told it."""
    later = _IN_ORDER[_IN_ORDER.index(planned.step) + 1 :] if planned.step in _IN_ORDER else ()
    begun = [name for name in state.asked if name.startswith(tuple(f"{step}/" for step in later))]
    if begun:
        raise RefusedError(
            f"{planned.name} comes too late: this site has answered {begun[-1]}",
            expected="rounds, then own models, then evaluations, then personal models",
            code="old-round",
        )


def _require_next_sum(planned: PlannedOrder, state: SiteState, analysis: Analysis) -> None:
    """Whether a sum of an analysis comes after all others, and is asked as often as the study says at most. The number is the
    sum's place in the run: two labels with one number would be one sum more than the study has."""
    if planned.name in state.asked:  # another attempt at it
        return
    times = sum(name.startswith("evaluate/") and name.split("/")[2] == planned.label for name in state.asked)
    latest = latest_sum(state)
    if planned.number <= latest or times >= exchange_of(analysis, planned.label).times:
        raise RefusedError(
            f"{planned.name} comes too late, or too often",
            expected=f"a sum after number {latest}, of {planned.label} at most {exchange_of(analysis, planned.label).times}",
            found=f"{times} of {planned.label} so far",
            code="old-round",
        )


def latest_sum(state: SiteState) -> int:
    """The number of the last sum of an analysis that this site was asked for; 0 for none."""
    return max((int(name.split("/")[1]) for name in state.asked if name.startswith("evaluate/")), default=0)


def _require_weight(header: OrderHeader, state: SiteState, plan: Plan, site: SiteId) -> None:
    """Another total in each round would be a question about this site's weight."""
    if state.weight and header.weight != state.weight:
        raise RefusedError(
            "The coordinator states another total weight than in the rounds before",
            expected=str(state.weight),
            found=str(header.weight),
            code="weight",
        )
    least = 0 if plan.private is None else plan.private.weight((site,))
    if header.weight < least:
        raise RefusedError(
            "The coordinator states a smaller total than this site's public weight",
            expected=f"at least {least}",
            found=str(header.weight),
            code="weight",
        )
