"""Flower without its habits: nothing is told to its makers, nothing is looked up, and its log goes nowhere but to warnings.

Every module of this room imports Flower through `require_flower`, so that these are set before the first line of it runs.
"""

import logging
import os

from wardround.values.errors import MissingExtraError

_SETTINGS = {"FLWR_TELEMETRY_ENABLED": "0", "FLWR_DISABLE_UPDATE_CHECK": "1", "FLWR_ENABLE_EVENT_LOG": "0"}


def require_flower() -> None:
    """Switches Flower's habits off. MissingExtraError where it is not installed."""
    os.environ.update(_SETTINGS)
    try:
        import flwr.common.logger  # noqa: F401
    except ImportError as error:
        raise MissingExtraError(
            "Between hospitals Wardround needs what is not installed here", hint="pip install 'wardround[network]'"
        ) from error
    for name in ("flwr", "httpx", "httpcore", "uvicorn", "uvicorn.error"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
