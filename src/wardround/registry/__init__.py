"""The registry: which studies, runs and models there are, where each model came from, and the models themselves.

    RunRecord + files --register_run--> database (studies, runs, models, lineage, metrics)
                                   \\--> store    (the files, named by the hash of their content)

Entries come from run records; nothing here computes a figure. The database is SQLite unless a URL names PostgreSQL.
"""

from wardround.registry.catalogue import Registry, open_registry
from wardround.registry.entries import FileEntry, LineageEntry, MetricEntry, ModelEntry, RunEntry, StudyEntry
from wardround.registry.store import ModelStore
from wardround.values.home import default_home

__all__ = [
    "FileEntry",
    "LineageEntry",
    "MetricEntry",
    "ModelEntry",
    "ModelStore",
    "Registry",
    "RunEntry",
    "StudyEntry",
    "default_home",
    "open_registry",
]
