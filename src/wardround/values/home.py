"""Where this user's own files lie when nobody says: registry, counters, the salt for DICOM patients."""

import os
from pathlib import Path

import platformdirs


def default_home() -> Path:
    """WARDROUND_HOME if it is set and not empty, else the platform's folder for a user's data. Nothing is created."""
    chosen = os.environ.get("WARDROUND_HOME", "")
    return Path(chosen).expanduser() if chosen else Path(platformdirs.user_data_dir("wardround", appauthor=False))
