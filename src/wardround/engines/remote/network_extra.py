"""What hub and site need besides Wardround itself to talk to each other."""

from importlib.util import find_spec

from wardround.values.errors import MissingExtraError

PACKAGES = ("flwr", "httpx", "starlette", "uvicorn")


def require_network() -> None:
    """MissingExtraError where a package of the extra `network` is not installed."""
    missing = [package for package in PACKAGES if find_spec(package) is None]
    if missing:
        raise MissingExtraError(
            "Hub and hospitals need packages that are not installed",
            found=f"no {', '.join(missing)}",
            hint="pip install 'wardround[network]'",
        )
