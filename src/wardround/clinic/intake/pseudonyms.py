"""The hashes under which patients stand in the clinic's database, by a key of this clinic alone."""

import hashlib
import hmac
import secrets

from wardround.clinic.place.clinic_place import ClinicPlace
from wardround.values.durable import kept_secret

PSEUDONYM_KEY = "pseudonym.key"


def pseudonym_key(clinic: ClinicPlace) -> bytes:
    """Made on first use. Who loses it knows no patient again."""
    return kept_secret(clinic.path / PSEUDONYM_KEY, 64, lambda: secrets.token_bytes(32))


def pseudonym_of(key: bytes, patient: str) -> str:
    """24 hexadecimal digits; "" of nobody."""
    return hmac.new(key, patient.encode("utf-8", "replace"), hashlib.sha256).hexdigest()[:24] if patient else ""
