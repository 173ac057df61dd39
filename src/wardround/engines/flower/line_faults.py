"""What is wrong with a line, in words and with its mend: for the person at a hospital's machine."""

import ssl
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit
from urllib.request import getproxies_environment

import httpx
from cryptography import x509

from wardround.values.errors import RunError

AHEAD_S, BEHIND_S = 5, 300
"""How far a site's clock may differ before the hub's Flower turns it away."""


def in_words(error: Exception, address: str, proxy: str | None = None) -> str:
    """One sentence, and what to do."""
    match error:
        case httpx.HTTPStatusError():
            return _of_status(error.response)
        case httpx.ProxyError():
            return f"the proxy does not let us through to {address}: ask IT to allow CONNECT to it, or correct HTTPS_PROXY"
        case httpx.TimeoutException():
            return f"{address} does not answer in time: look whether a firewall drops the connection"
    text = str(error)
    if isinstance(error, ssl.SSLError) or "CERTIFICATE_VERIFY_FAILED" in text or "SSL" in text:
        return _of_tls(text, address, proxy)
    if "Name or service not known" in text or "nodename nor servname" in text or "getaddrinfo" in text:
        return f"the name in {address} is not known here: correct DNS, or set HTTPS_PROXY where names are known by the proxy only"
    if "refused" in text and proxy:
        there = urlsplit(proxy)
        return f"nothing listens at the proxy {there.hostname}:{there.port or 80}: ask IT for its address, or correct HTTPS_PROXY"
    if "refused" in text:
        return f"nothing listens at {address}: the hub is not running, or a firewall refuses"
    return f"no connection to {address} ({text[:120] or type(error).__name__}); it is tried again"


def require_no_socks() -> None:
    """RunError where the environment names a SOCKS proxy: Flower's client would look for parts that are not installed."""
    for name, address in getproxies_environment().items():
        if address.lower().startswith("socks"):
            variable = f"{name}_proxy".upper()
            raise RunError(
                f"{variable} names a SOCKS proxy, which is not spoken here",
                expected="http://HOST:PORT, or nothing",
                hint=f"start it without (env -u {variable} -u {variable.lower()} wardround ...); HTTPS_PROXY names an HTTP proxy",
            )


def _of_status(response: httpx.Response) -> str:
    if response.status_code == 401:
        difference = clock_difference(response)
        if difference is not None and not -AHEAD_S < difference < BEHIND_S:
            side = "behind" if difference > 0 else "ahead"
            return f"this machine's clock is {abs(difference):.0f} s {side} of the hub's: set it by a time server"
        return "the hub does not know this hospital's key: it is not confirmed yet, or was revoked; ask the hub's people"
    if response.status_code == 412:
        return "the hub still holds an earlier connection of this hospital; it is tried again"
    return f"the hub answers with status {response.status_code}; it is tried again"


def _of_tls(text: str, address: str, proxy: str | None) -> str:
    if "certificate verify failed" in text or "CERTIFICATE_VERIFY_FAILED" in text:
        if "expired" in text or "not yet valid" in text:
            return f"the certificate of {address} is not valid at this time: look at this machine's clock, or ask the hub"
        issuer = issuer_at(address, proxy)
        whose = f"; it was issued by {issuer}" if issuer else ""
        return (
            f"the certificate that came from {address} is not the hub's{whose}: something on the way opens TLS (TLS inspection). "
            "Ask IT to leave this address out, or join anew with --extra-ca"
        )
    return f"TLS with {address} failed ({text[:120]})"


def issuer_at(address: str, proxy: str | None = None) -> str:
    """Who issued the certificate that comes from there; empty where it cannot be had. Nothing that comes is believed."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with (
            httpx.Client(verify=context, timeout=10.0, proxy=proxy) as client,
            client.stream("GET", f"https://{address}/") as response,
        ):
            raw = response.extensions["network_stream"].get_extra_info("ssl_object").getpeercert(True)
        return x509.load_der_x509_certificate(raw).issuer.rfc4514_string()
    except (httpx.HTTPError, OSError, ValueError, KeyError, AttributeError, TypeError):
        return ""


def clock_difference(response: httpx.Response) -> float | None:
    """Seconds by which the hub's clock is ahead of ours; None where it does not say."""
    try:
        return (parsedate_to_datetime(response.headers["date"]) - datetime.now(UTC)).total_seconds()
    except (KeyError, ValueError, TypeError, OverflowError):
        # TypeError: a date without a zone, such as -0000. OverflowError: a year of twenty digits.
        return None
