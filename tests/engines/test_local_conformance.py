"""The local engines keep what every engine promises."""

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from wardround.engines.local.engine import InOrder, SideBySide
from wardround.hub.engine import Engine
from wardround.site.config import SiteConfig

from .engine_conformance import EngineConformance


class TestInOrder(EngineConformance):
    @contextmanager
    def opened(self, configs: Sequence[SiteConfig], folder: Path) -> Iterator[Engine]:  # noqa: ARG002
        with closing(InOrder(configs)) as engine:
            yield engine


@pytest.mark.slow
class TestSideBySide(EngineConformance):
    @contextmanager
    def opened(self, configs: Sequence[SiteConfig], folder: Path) -> Iterator[Engine]:  # noqa: ARG002
        with closing(SideBySide(configs, 3)) as engine:
            yield engine
