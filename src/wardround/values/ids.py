"""Names of the parties."""

import re
from typing import NewType

from wardround.values.errors import StudyError

SiteId = NewType("SiteId", str)

RESERVED = "federated"
"""What reports call the shared model; a hospital of that name could not be told from it."""

_SITE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")


def site_id(text: str) -> SiteId:
    """A site's name: 1 to 63 letters, digits, '_' or '-', not starting with a sign. It becomes a folder name and a file name.

    >>> site_id("north-2")
    'north-2'
    """
    if not _SITE.fullmatch(text) or text == RESERVED:
        raise StudyError(
            "A site's name cannot be used",
            expected=f"1 to 63 letters, digits, '_' or '-', starting with a letter or digit, and not {RESERVED}",
            found=repr(text[:80]),
            hint="choose a short name such as north or clinic-2",
        )
    return SiteId(text)
