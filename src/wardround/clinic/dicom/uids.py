"""Names of DICOM objects: those of others are looked at before they name anything, ours follow from what they name.

    kind, film, model, acceptance --SHA-256, 122 bits--> UUID (version 8, RFC 9562) --> 2.25.DECIMAL (PS3.5 B.2)

The same answer to the same film has the same UID, so that an archive that is sent it twice keeps it once.
"""

import hashlib
import re
import uuid

_UID = re.compile(r"(?:0|[1-9][0-9]*)(?:\.[0-9]+)+")
LONGEST = 64


def is_uid(text: str) -> bool:
    """Whether a text is numbers and dots as a UID has them. Leading zeros, which real machines write, are let through.

    >>> is_uid("1.2.840.10008.1.1"), is_uid("1.2.03"), is_uid("../1.2"), is_uid("1.2" + ".3" * 40), is_uid("1.2.3\\n")
    (True, True, False, False, False)
    """
    return len(text) <= LONGEST and _UID.fullmatch(text) is not None


def derived_uid(*parts: str) -> str:
    """The UID of an object of ours. Equal parts give an equal UID, and no other parts do.

    >>> derived_uid("report", "1.2.3") == derived_uid("report", "1.2.3") != derived_uid("report1.2.3")
    True
    """
    digest = hashlib.sha256()
    for part in ("wardround clinic", *parts):
        encoded = part.encode()
        digest.update(len(encoded).to_bytes(4, "big") + encoded)
    number = bytearray(digest.digest()[:16])
    number[6] = number[6] & 0x0F | 0x80
    number[8] = number[8] & 0x3F | 0x80
    return f"2.25.{uuid.UUID(bytes=bytes(number)).int}"


IMPLEMENTATION = derived_uid("implementation")
"""What files of ours say wrote them."""
