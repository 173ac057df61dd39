"""Bundles: several resources in one document, as a server answers a search and as programs hand one patient over.

    {"resourceType": "Bundle", "entry": [{"fullUrl": "urn:uuid:7", "resource": {...}}, ...]}  -->  its resources

Source: https://hl7.org/fhir/R4/bundle.html
"""

import json
import re
from collections.abc import Iterator
from typing import Any

from wardround.sources.databases.fhir.values import Resource, id_in, listed, part
from wardround.values.errors import DataError

READ_TYPES = frozenset({"collection", "searchset", "transaction", "batch"})
UNREAD_TYPES = frozenset(
    {"document", "message", "history", "transaction-response", "batch-response", "subscription-notification"}
)
LARGEST_BUNDLE = 256 * 2**20
"""Bytes of a Bundle in a file of its own, which is held in memory as a whole."""
_MARK = re.compile(rb'"resourceType"\s*:\s*"Bundle"')
_REFERENCES = ("subject", "patient", "medicationReference")


def starts_as_bundle(head: bytes) -> bool:
    """Whether the first bytes of a file are those of a Bundle.

    >>> starts_as_bundle(b'{"resourceType": "Bundle", "type": '), starts_as_bundle(b'{"resourceType": "Patient"}')
    (True, False)
    """
    return head.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"{") and _MARK.search(head) is not None


def entries(bundle: Resource) -> Iterator[Resource | None]:
    """The resources of a Bundle, each with an id where its address names one; None for an entry without a resource.

    DataError for a type of Bundle that is not read.
    """
    _require_type(bundle.get("type"))
    parts = [entry if isinstance(entry, dict) else {} for entry in listed(bundle.get("entry"))]
    resources = [_identified(entry.get("resource"), entry.get("fullUrl")) for entry in parts]
    addresses = {
        entry["fullUrl"]: f"{resource['resourceType']}/{resource['id']}"
        for entry, resource in zip(parts, resources, strict=True)
        if resource is not None and isinstance(entry.get("fullUrl"), str) and isinstance(resource.get("id"), str)
    }
    for resource in resources:
        yield None if resource is None else _resolved(resource, addresses)


def links(bundle: Resource) -> Iterator[tuple[str, str]]:
    """Relations and addresses of a Bundle's links: `self` is its own, `next` that of the page after it."""
    for link in listed(bundle.get("link")):
        relation, address = part(link, "relation"), part(link, "url")
        if isinstance(relation, str) and isinstance(address, str):
            yield relation, address


def content_of(resource: Resource) -> bytes:
    """What a resource holds, the same for every order of its fields."""
    return json.dumps(resource, sort_keys=True).encode()


def _require_type(bundle_type: Any) -> None:
    if bundle_type not in READ_TYPES:
        raise DataError(
            "A Bundle of the export is of a type that is not read",
            expected=", ".join(sorted(READ_TYPES)),
            found=bundle_type if bundle_type in UNREAD_TYPES else "another one, or none",
            hint="export the resources as a collection, or as ndjson",
        )


def _identified(resource: Any, address: Any) -> Resource | None:
    """A resource that is only being created has no id of its own; its address is what others refer to."""
    if not isinstance(resource, dict) or not isinstance(resource.get("resourceType"), str):
        return None
    name = id_in(address, resource["resourceType"])
    return resource if isinstance(resource.get("id"), str) or not name else {**resource, "id": name}


def _resolved(resource: Resource, addresses: dict[str, str]) -> Resource:
    """References by the address of another entry name its id: a server may have given it one besides."""
    changed = {
        field: {**resource[field], "reference": addresses[address]}
        for field in _REFERENCES
        if isinstance(address := part(resource.get(field), "reference"), str) and address in addresses
    }
    return {**resource, **changed} if changed else resource
