"""A hospital's evidence about one study, one zip for an auditor: what was offered, decided, answered, charged, by which release.

    files by name --hashes--> manifest.json --signed by the hospital's key--> manifest.sig; all in one zip

It holds no record of a patient and no path. It is the hospital's: it names its data set and its people.
"""

import io
import json
import platform
import zipfile
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import distributions
from pathlib import Path

from wardround.crypto.identity import Identity
from wardround.values.canonical import canonical_json, sha256_hex
from wardround.values.durable import write_atomic
from wardround.values.version import __version__

MANIFEST, SIGNATURE = "manifest.json", "manifest.sig"
STUDY, OFFER, DECISION, POLICY = "study.toml", "offer.json", "decision.json", "policy.toml"
PRE_APPROVED = "pre_approved.json"
"""Which studies a policy approved beforehand: of a study that it did."""
DECISIONS, POLICIES = "decisions/", "policies/"
"""Every decision about the study, by number, and the rules of each policy that one names, by their hash."""
LEDGERS = "ledgers/"
"""Of other ledgers than the last, which earlier decisions named."""
LEDGER, VERSIONS, SBOM, LOG = "ledger.json", "versions.json", "sbom.cdx.json", "log/"
SIGNED = b"wardround evidence 1\0"


def write_pack(path: Path, site: str, study: str, files: Mapping[str, bytes], identity: Identity) -> None:
    """Writes the zip whole or not at all. files: by their names in it; versions and bill of materials are added."""
    write_signed(path, {"site": site, "study": study}, files, identity, SIGNED)


def write_signed(path: Path, about: Mapping[str, str], files: Mapping[str, bytes], identity: Identity, mark: bytes) -> None:
    """A zip of files with versions, bill of materials and a signed manifest. about: what the manifest says of it. mark: what the
    signature begins with, so that a manifest of one kind is none of another."""
    whole = {**files, VERSIONS: _versions(), SBOM: bill_of_materials()}
    manifest = canonical_json(
        {
            "version": 1,
            **about,
            "identity": identity.public,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "files": {name: sha256_hex(content) for name, content in sorted(whole.items())},
        }
    )
    signature = identity.sign(mark + manifest).encode()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in {MANIFEST: manifest, SIGNATURE: signature, **dict(sorted(whole.items()))}.items():
            archive.writestr(name, content)
    write_atomic(path, buffer.getvalue(), private=True)


def bill_of_materials() -> bytes:
    """Every package that is installed beside Wardround, in the form of CycloneDX 1.5."""
    installed = {(one.metadata["Name"], one.version) for one in distributions() if one.metadata["Name"]}
    components = [
        {"type": "library", "name": name, "version": version, "purl": f"pkg:pypi/{name.lower().replace('_', '-')}@{version}"}
        for name, version in sorted(installed, key=lambda one: (one[0].lower(), one[1]))
    ]
    bill = {"bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1, "components": components}
    return json.dumps(bill, indent=1).encode() + b"\n"


def _versions() -> bytes:
    return canonical_json(
        {"wardround": __version__, "python": platform.python_version(), "platform": f"{platform.system()} {platform.machine()}"}
    )
