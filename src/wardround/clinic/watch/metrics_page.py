"""GET /metrics: for a Prometheus on this machine, or with a token of the settings.

Without a token the caller must be this machine itself. Behind a proxy every caller looks like this machine: there a token is
needed.
"""

import hmac

from fastapi import Request
from starlette.responses import PlainTextResponse, Response

from wardround.clinic.place.clinic_place import ClinicSettings
from wardround.clinic.watch.metrics import CONTENT_TYPE, Metrics
from wardround.values.network_address import is_loopback_host


def metrics(request: Request) -> Response:
    """The numbers, or a refusal that says how they are opened."""
    settings: ClinicSettings = request.app.state.clinic.settings
    counted: Metrics = request.app.state.clinic.metrics
    if not may_read(settings, request.client.host if request.client else "", request.headers.get("authorization", "")):
        text = "The numbers are opened by metrics_token under [watch] in clinic.toml: Authorization: Bearer TOKEN\n"
        return PlainTextResponse(text, 401, {"www-authenticate": "Bearer"})
    return Response(counted.text(), media_type=CONTENT_TYPE)


def may_read(settings: ClinicSettings, address: str, authorization: str) -> bool:
    """Whether a caller at this address, with this header, may read the numbers."""
    token = settings.watch.metrics_token
    if token:
        return hmac.compare_digest(authorization.encode("utf-8", "replace"), f"Bearer {token}".encode())
    behind_proxy = settings.behind_tls or bool(settings.hosts)
    return is_loopback_host(address) and not behind_proxy
