"""Settings that nothing reads. A study that sets one is refused: it would do nothing without a word.

Each choice of a study has a row that says which settings it reads. A setting at its default is never refused, so that a study
with every default written out stays sound.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from wardround.algorithms import names_where, statement_of
from wardround.algorithms.personal import CANDIDATES
from wardround.study.label import KIND_SETTINGS, LABEL_KINDS
from wardround.study.rules.sections import Sections
from wardround.study.sections.algorithm import AlgorithmSection
from wardround.study.sections.training import AugmentationSection


@dataclass(frozen=True)
class Use:
    """settings: by their dotted names. read: whether the sections read them. reader: the choice that would."""

    settings: tuple[str, ...]
    read: Callable[[Sections], bool]
    reader: str


LOCAL_STEPS = (
    "optimizer",
    "learning_rate",
    "momentum",
    "beta2",
    "keep_optimizer",
    "weight_decay",
    "schedule",
    "warmup_rounds",
    "final_rate",
    "local_epochs",
    "ema_decay",
    "clip_norm",
)
"""Settings of steps that a hospital takes by itself."""

OF_EVERY_ALGORITHM = frozenset({"name", "rounds"})
"""Settings of [algorithm] that no algorithm needs to list."""

_MOVES = ("shift", "rotate", "scale", "stretch", "shear")
_MANNERS = ("border", "chance", "cutout_chance", "cutout_fill")
"""How an image is changed, where another setting says that it is."""
_CHANGES = tuple(name for name in AugmentationSection.model_fields if name not in ("mixup", *_MANNERS))
_OF_CHANCE = tuple(name for name in _CHANGES if name not in ("flip", "cutout"))
_IMAGE = ("size", "channels", "accepted_bits", "kept_bits", "white_16", "window", "fit")


def _names(section: str, settings: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(f"{section}.{name}" for name in settings)


def _changed(section: BaseModel, names: tuple[str, ...]) -> bool:
    return any(_differs(section, name) for name in names)


def _images(sections: Sections) -> bool:
    return sections.data.kind == "image"


def _noised(sections: Sections) -> bool:
    """Whether the grid of the sum follows from the noise."""
    return sections.privacy.private and sections.privacy.mode != "patient-local"


def _adaptive(sections: Sections) -> bool:
    return sections.algorithm.server_optimizer != "momentum"


def _of_candidates(setting: str) -> Use:
    """A setting of [personal], which some of the candidates read."""
    readers = " or ".join(f'"{name}"' for name, candidate in CANDIDATES.items() if setting in candidate.reads)
    return Use((f"personal.{setting}",), lambda sections: sections.personal.reads(setting), f"{readers} in personal.candidates")


USES: tuple[Use, ...] = (
    Use(
        ("algorithm.server_beta2",),
        lambda sections: sections.algorithm.server_optimizer in ("adam", "yogi"),
        'algorithm.server_optimizer = "adam" or "yogi"',
    ),
    Use(("algorithm.server_tau",), _adaptive, 'algorithm.server_optimizer = "adagrad", "adam" or "yogi"'),
    Use(("training.beta2",), lambda sections: sections.training.optimizer == "adamw", 'training.optimizer = "adamw"'),
    Use(
        ("training.keep_optimizer",),
        lambda sections: sections.training.optimizer == "adamw" or sections.training.momentum > 0,
        'training.optimizer = "adamw", or training.momentum above 0',
    ),
    Use(("training.head_passes",), lambda sections: sections.network.private is not None, 'network.private = "head"'),
    Use(("training.final_rate",), lambda sections: sections.training.schedule == "cosine", 'training.schedule = "cosine"'),
    Use(
        ("training.micro_batch", "network.dropout"),
        lambda sections: not sections.privacy.of_patients,
        "a study whose unit of privacy is not the patient",
    ),
    Use(_names("training.augmentation", (*_CHANGES, *_MANNERS)), _images, 'data.kind = "image"'),
    Use(
        ("training.augmentation.border",),
        lambda sections: _changed(sections.training.augmentation, _MOVES),
        "a change that moves the images: training.augmentation." + ", ".join(_MOVES),
    ),
    Use(
        ("training.augmentation.chance",),
        lambda sections: _changed(sections.training.augmentation, _OF_CHANCE),
        "another change of the images, such as training.augmentation.shift",
    ),
    Use(
        ("training.augmentation.cutout_chance", "training.augmentation.cutout_fill"),
        lambda sections: sections.training.augmentation.cutout > 0,
        "training.augmentation.cutout above 0",
    ),
    Use(
        ("network.scaling",),
        lambda sections: _images(sections) or sections.network.backbone is not None,
        'data.kind = "image"',
    ),
    Use(_names("data.image", _IMAGE), _images, 'data.kind = "image"'),
    Use(
        ("data.image.white_16", "data.image.window"),
        lambda sections: 16 in sections.data.image.accepted_bits,
        "16 among data.image.accepted_bits",
    ),
    Use(("evaluation.flip_average",), _images, 'data.kind = "image"'),
    Use(("summation.collusion",), lambda sections: sections.summation.mode == "masked", 'summation.mode = "masked"'),
    Use(
        ("summation.weight_step",),
        lambda sections: not sections.privacy.private,
        'privacy.mode = "none"; else weights are public',
    ),
    Use(("summation.clip",), lambda sections: not _noised(sections), "a sum whose grid does not follow from its noise"),
    Use(
        ("summation.max_update_norm",),
        lambda sections: statement_of(sections.algorithm.name).local_steps,
        "an algorithm that sums changes of the model, not gradients",
    ),
    Use(
        ("privacy.views",),
        lambda sections: _images(sections) and _changed(sections.training.augmentation, _CHANGES),
        "images that training.augmentation changes",
    ),
    *(_of_candidates(setting) for setting in ("passes", "rate", "proximal_mu")),
)


def unread_settings(sections: Sections) -> Iterator[str]:
    """One sentence for each setting that differs from its default and that the study's choices do not read."""
    for use in USES:
        if not use.read(sections):
            yield from (_sentence(setting, use.reader) for setting in use.settings if _set_in(sections, setting))
    yield from _unread_by_the_algorithm(sections)
    yield from _unread_by_the_question(sections)


def _unread_by_the_algorithm(sections: Sections) -> Iterator[str]:
    """The algorithm itself says what it reads."""
    statement = statement_of(sections.algorithm.name)
    for name in AlgorithmSection.model_fields:
        if name not in OF_EVERY_ALGORITHM | statement.reads and _differs(sections.algorithm, name):
            yield _sentence(f"algorithm.{name}", f"algorithm.name = {_readers_of(name)}")
    # Personal models, and last layers that stay at the hospitals, take local steps under every algorithm.
    if not statement.local_steps and not sections.personal.candidates and not sections.network.private:
        reader = f"an algorithm whose hospitals take steps of their own; {statement.name} takes its steps at the coordinator"
        if settings := ", ".join(f"algorithm.{name}" for name in sorted(statement.reads)):
            reader += f": {settings}"
        yield from (_sentence(setting, reader) for setting in _names("training", LOCAL_STEPS) if _set_in(sections, setting))


def _readers_of(setting: str) -> str:
    return names_where(lambda statement: setting in statement.reads)


def _unread_by_the_question(sections: Sections) -> Iterator[str]:
    kind = LABEL_KINDS[sections.data.label.kind]
    for setting in KIND_SETTINGS:
        if setting not in kind.uses and _set_in(sections, setting):
            readers = " or ".join(f'"{name}"' for name, other in sorted(LABEL_KINDS.items()) if setting in other.uses)
            yield _sentence(setting, f"data.label.kind = {readers}")
    if not sections.training.class_balance and any(one.share is not None for one in sections.data.label.asked.classes):
        yield _sentence("task.classes.share", "training.class_balance = true")


def _sentence(setting: str, reader: str) -> str:
    return f"{setting} does nothing in this study: leave it out (it is read with {reader})"


def _set_in(sections: Sections, setting: str) -> bool:
    section: Any = sections
    *parts, name = setting.split(".")
    for part in parts:
        section = getattr(section, part)
    return _differs(section, name)


def _differs(section: BaseModel, name: str) -> bool:
    """Whether a setting was given another value than its default. How a study was written plays no part."""
    return bool(getattr(section, name) != type(section).model_fields[name].get_default(call_default_factory=True))
