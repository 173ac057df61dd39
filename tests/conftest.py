"""What all tests share: hypothesis draws the same cases every time, and a busy machine fails none of them.

pytest                      everything, by one process more than cores, 8 cases a property; 60 with `-m
                            permission` and of named files
pytest -m "not slow"        what a developer asks after a change, four minutes on two cores; 6 cases a property
pytest -n 0                 in one process, as a debugger wants it; so does a run of named files or tests
"""

import atexit
import os
import shutil
import sys
import tempfile

import pytest
from hypothesis import HealthCheck, settings

import wardround  # noqa: F401  before any test imports onnxruntime, whose telemetry is then off

if "WARDROUND_HOME" not in os.environ:  # set by the first process of a run; its workers have it from there
    os.environ["WARDROUND_HOME"] = tempfile.mkdtemp(prefix="wardround-home-")
    atexit.register(shutil.rmtree, os.environ["WARDROUND_HOME"], ignore_errors=True)

pytest.register_assert_rewrite("tests.algorithms.algorithm_conformance")

OUTSIDE = (
    "engines",
    "deployment",
    "enrolment",
    "hub/daemon",
    "hub/dashboard",
    "site/daemon",
    "clinic/dicom",
    "clinic/intake",
    "clinic/web",
)
"""Where tests wait for processes, lines and browsers, which a machine that does much else may keep from answering in time."""

ALIKE = settings(deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("full", ALIKE, max_examples=60)
settings.register_profile("everything", ALIKE, max_examples=8)
settings.register_profile("fast", ALIKE, max_examples=6)
settings.load_profile("full")


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """Runs of everything take all cores, and one process more, since tests of services and of kills wait for others: a setting in
    `addopts` would be an error where xdist is switched off."""
    in_worker = hasattr(config, "workerinput")
    named = config.args_source is not pytest.Config.ArgsSource.TESTPATHS
    debugged = config.option.usepdb or config.option.collectonly
    if in_worker or named or debugged or not config.pluginmanager.hasplugin("xdist"):
        return
    if config.option.numprocesses is None:
        config.option.numprocesses = (os.cpu_count() or 1) + 1
    if config.option.dist == "no":
        config.option.dist = (
            "worksteal"  # neighbours share the fixtures of their module, and no core waits for the other at the end
        )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What is marked `many` runs where somebody asks for it: by `-m permission`, or by naming its file."""
    _try_outside_twice(config, items)
    if not _taken_whole(config):
        left_out = [item for item in items if item.get_closest_marker("many")]
        items[:] = [item for item in items if not item.get_closest_marker("many")]
        config.hook.pytest_deselected(items=left_out)


def _try_outside_twice(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What waits for others is tried once more, and the report says of which; a law has one try."""
    if not config.pluginmanager.hasplugin("rerunfailures"):
        return
    folders = [config.rootpath / "tests" / part for part in OUTSIDE]
    for item in items:
        if any(item.path.is_relative_to(folder) for folder in folders):
            item.add_marker(pytest.mark.flaky(reruns=1))


def pytest_configure(config: pytest.Config) -> None:
    profile = "full" if _taken_whole(config) else "everything"
    settings.load_profile("fast" if "not slow" in config.option.markexpr else profile)


def _taken_whole(config: pytest.Config) -> bool:
    """Whether somebody waits for these tests in particular."""
    named = config.args_source is not pytest.Config.ArgsSource.TESTPATHS
    return named or "permission" in config.option.markexpr


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """A failure is told when it happens, so that a run which is ended from outside has said what it knew."""
    if report.failed and "PYTEST_XDIST_WORKER" not in os.environ:
        last = str(report.longrepr).strip().splitlines()[-12:]
        print(f"\nFAILED at once: {report.nodeid} ({report.when})", *last, sep="\n    ", file=sys.__stdout__, flush=True)


@pytest.fixture(autouse=True)
def no_waiting_for_the_disk(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests write thousands of small files; waiting for the disk each time proves nothing, but where durability is tested."""
    if "durable" not in request.path.name:
        monkeypatch.setattr(os, "fsync", lambda descriptor: None)  # noqa: ARG005
