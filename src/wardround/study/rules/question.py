"""Settings that the kind of question does not read. A study that sets one is refused: it would do nothing without a word."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from wardround.study.label import KIND_SETTINGS, LABEL_KINDS

if TYPE_CHECKING:
    from wardround.study.declaration import Study


def unread_settings(study: "Study") -> Iterator[str]:
    """One sentence for each setting that differs from its default and that the study's kind of question does not read."""
    kind = LABEL_KINDS[study.data.label.kind]
    for setting in KIND_SETTINGS:
        if setting not in kind.uses and _differs_from_default(study, setting):
            readers = ", ".join(sorted(name for name, other in LABEL_KINDS.items() if setting in other.uses))
            yield f'{setting} does nothing with data.label.kind = "{kind.name}": leave it out (it is read with: {readers})'


def _differs_from_default(study: "Study", setting: str) -> bool:
    section: Any = study
    *sections, name = setting.split(".")
    for part in sections:
        section = getattr(section, part)
    assert isinstance(section, BaseModel)
    return bool(getattr(section, name) != type(section).model_fields[name].get_default(call_default_factory=True))
