"""How a hospital may be called in a study."""

from typing import Annotated

from pydantic import AfterValidator, StringConstraints

from wardround.values.ids import RESERVED


def _not_reserved(name: str) -> str:
    if name == RESERVED:
        raise ValueError(f'a hospital may not be called "{RESERVED}": reports use that name for the shared model')
    return name


SiteName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$"), AfterValidator(_not_reserved)]
