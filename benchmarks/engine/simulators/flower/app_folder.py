"""Writes the folder that `flwr run` takes: a pyproject.toml and a package that names the two apps."""

from __future__ import annotations

from pathlib import Path

_PYPROJECT = """\
[project]
name = "versus"
version = "1.0.0"
description = "Three hospitals, one network, federated averaging"
license = "Apache-2.0"
dependencies = []

[tool.flwr.app]
publisher = "wardround"

[tool.flwr.app.components]
serverapp = "versus.apps:server"
clientapp = "versus.apps:client"
"""
_APPS = '''\
"""The apps, found through PYTHONPATH."""

from simulators.flower.apps import client, server

__all__ = ["client", "server"]
'''


def write_app(folder: Path) -> Path:
    """No dependencies are declared, so that Flower installs nothing while the clock runs."""
    package = folder / "versus"
    package.mkdir(parents=True, exist_ok=True)
    (folder / "pyproject.toml").write_text(_PYPROJECT)
    (package / "__init__.py").write_text('"""Flower app."""\n')
    (package / "apps.py").write_text(_APPS)
    return folder
