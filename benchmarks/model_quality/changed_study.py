"""Studies of the examples with other settings, for benchmarks that compare them."""

import json
from typing import Any

from wardround.study.declaration import Study


def changed(study: Study, **sections: dict[str, Any]) -> Study:
    """The study with some settings replaced, checked again as a whole."""
    value = study.model_dump(mode="json")
    for section, settings in sections.items():
        value[section] = {**value[section], **settings}
    return Study.model_validate_json(json.dumps(value))
