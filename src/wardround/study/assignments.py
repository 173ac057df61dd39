"""Settings written on the command line, SECTION.SETTING=VALUE, as the changes that `Study.revised` takes."""

import tomllib
from collections.abc import Iterable
from typing import Any

from wardround.values.errors import StudyError


def assigned(assignments: Iterable[str]) -> dict[str, Any]:
    """Section -> its settings. A value is TOML; a word such as fedprox needs no quotes. StudyError where one has no form.

    >>> assigned(["training.local_epochs=2", "algorithm.name=fedprox", "training.augmentation.mixup=0.2"])
    {'training': {'local_epochs': 2, 'augmentation': {'mixup': 0.2}}, 'algorithm': {'name': 'fedprox'}}
    """
    settings: dict[str, Any] = {}
    for assignment in assignments:
        path, equals, value = assignment.partition("=")
        names = path.strip().split(".")
        if not equals or len(names) < 2 or not all(name.isidentifier() for name in names):
            raise StudyError(
                "--set cannot be read", expected="SECTION.SETTING=VALUE, such as training.local_epochs=2", found=assignment
            )
        section = settings
        for name in names[:-1]:
            section = section.setdefault(name, {})
            if not isinstance(section, dict):
                raise StudyError("--set gives one setting twice", found=assignment, hint="leave one of the two out")
        if names[-1] in section:
            raise StudyError("--set gives one setting twice", found=assignment, hint="leave one of the two out")
        section[names[-1]] = _value(value.strip())
    return settings


def _value(text: str) -> object:
    try:
        parsed = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return text
    return parsed["value"] if list(parsed) == ["value"] else text
