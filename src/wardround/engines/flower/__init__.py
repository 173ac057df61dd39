"""Flower's SuperLink as a carrier: embedded at the hub behind a gate of ours, its thin Fleet client at a site.

flwr is imported in this room alone, and without its habits: nothing is told to its makers, nothing is looked up, nothing of it is
started as a process, and none of its code is fetched or run at a site.
"""

import logging
import os
from importlib import import_module

from wardround.engines.remote.network_extra import require_network

_SETTINGS = {"FLWR_TELEMETRY_ENABLED": "0", "FLWR_DISABLE_UPDATE_CHECK": "1", "FLWR_ENABLE_EVENT_LOG": "0"}

require_network()
os.environ.update(_SETTINGS)
import_module("flwr.supercore")  # it sets its own log's level when it is loaded
for _name in ("flwr", "httpx", "httpcore", "uvicorn", "uvicorn.error"):
    logging.getLogger(_name).setLevel(logging.CRITICAL)  # what goes wrong is looked at in answers, and said by us
