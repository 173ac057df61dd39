"""One site of a tiny private study, alone with a coordinator that a test plays."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from wardround.plan.plan import Plan
from wardround.site.site import Site
from wardround.study.declaration import Study
from wardround.values.records import Records
from wardround.values.tree import Bundle, Tree
from wardround.wire.envelope import from_bytes, pack_bundle, to_bytes
from wardround.wire.messages import ContributionMessage, Order, OrderHeader, Refusal

from .private_studies import private_study
from .tiny_federation import NAMES, site

LOCAL = private_study("patient-local", "fedavg", summation="plain")
WEIGHT = 76


def model_of(of: Study, **values: float) -> Tree:
    """The study's first model; `values` fill the arrays of these names (dots as double underscores)."""
    model = Plan(of).initial_model()
    for name, value in values.items():
        model[name.replace("__", ".")][:] = value
    return model


def order(of: Study, step: Any, number: int = 0, model: Tree | None = None, control: float = 0.0, **changes: Any) -> bytes:
    """The bytes of an order of this study, with `changes` to its header."""
    model = model_of(of) if model is None else model
    bundle: Bundle = {"model": model} if step in ("open", "train", "evaluate") else {}
    if step == "train" and of.algorithm.name == "scaffold":
        bundle["control"] = {name: np.full_like(array, control) for name, array in model.items()}
    fields: dict[str, Any] = {"study": of.hash, "step": step, "round": number, "cohort": NAMES}
    fields |= {"weight": WEIGHT} if step == "train" else {}
    fields |= {"counted": dict.fromkeys(NAMES, number - 1)} if step == "train" and number > 1 else {}
    fields |= {"label": "federated"} if step == "evaluate" else {}
    return to_bytes(Order(OrderHeader(**(fields | changes)), pack_bundle(bundle)))


def opened(of: Study, folder: Path, load: Callable[[], Records] | None = None) -> Site:
    """The site north, which has opened the study."""
    one = site("north", of, folder, load)
    assert said(one, order(of, "open")) == "contribution"
    return one


def said(one: Site, data: bytes) -> str:
    """ "contribution", or the word of the refusal."""
    answer = from_bytes(one.handle(data))
    assert isinstance(answer, ContributionMessage | Refusal)
    return "contribution" if isinstance(answer, ContributionMessage) else answer.header.code
