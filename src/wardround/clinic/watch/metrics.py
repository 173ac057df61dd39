"""Numbers of a running clinic for Prometheus: a registry of our own, counts alone, and no label that names anybody.

    desk --every case, when it is told--> Metrics --GET /metrics--> text

Labels are words of the program (a verdict, a door, a kind of error) and the model's hash. The counts begin anew with the process.
"""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, InfoMetricFamily
from prometheus_client.metrics_core import Metric

from wardround.clinic.intake.desk import Case, Desk, Sender
from wardround.clinic.watch.alerts import open_alerts
from wardround.values.errors import WardroundError

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 1.0, 1.5, 3.0, 10.0)
_DOORS = frozenset({"page", "rest", "dicom", "folder", "fhir", "hooks"})
_OTHER = "other"


class Metrics:
    """Of one desk. It follows every case from `Desk.later` to its end."""

    def __init__(self, desk: Desk) -> None:
        self._desk, self._lock = desk, threading.Lock()
        self._answers: Counter[tuple[str, str]] = Counter()
        self._refusals: Counter[str] = Counter()
        self._within: Counter[float] = Counter()
        self._seconds, self._answered, self._waiting = 0.0, 0, 0
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)
        desk.follow = self.follow

    def text(self) -> bytes:
        """As Prometheus reads it."""
        return generate_latest(self._registry)

    def follow(self, sender: Sender, told: "Future[Case]") -> None:
        """One case, until it is told."""
        began = time.monotonic()
        with self._lock:
            self._waiting += 1
        told.add_done_callback(lambda future: self._ended(sender.source, future, time.monotonic() - began))

    def collect(self) -> Iterator[Metric]:
        """Asked by the registry."""
        with self._lock:
            answers, refusals, within = Counter(self._answers), Counter(self._refusals), Counter(self._within)
            seconds, answered, waiting = self._seconds, self._answered, self._waiting
        told = CounterMetricFamily("wardround_clinic_answers", "Cases that were answered.", labels=("verdict", "door"))
        for (verdict, door), count in sorted(answers.items()):
            told.add_metric((verdict, door), count)
        yield told
        refused = CounterMetricFamily("wardround_clinic_errors", "Cases that got no answer.", labels=("kind",))
        for kind, count in sorted(refusals.items()):
            refused.add_metric((kind,), count)
        yield refused
        taken = HistogramMetricFamily("wardround_clinic_answer_seconds", "From the case to its answer on the disk.")
        buckets = [(str(edge), float(within[edge])) for edge in _SECONDS]
        taken.add_metric((), [*buckets, ("+Inf", float(answered))], seconds)
        yield taken
        yield GaugeMetricFamily("wardround_clinic_waiting", "Cases under way.", waiting)
        yield GaugeMetricFamily("wardround_clinic_alerts", "Alerts that last.", len(open_alerts(self._desk.store)))
        yield from self._model()

    def _model(self) -> Iterator[Metric]:
        try:
            model = self._desk.model_or_none
        except WardroundError:  # a log that cannot be trusted: nothing is in service
            model = None
        yield GaugeMetricFamily("wardround_clinic_model_in_service", "1 where a model answers.", int(model is not None))
        if model is not None:
            facts = {"model": model.acceptance.model[:12], "acceptance": model.acceptance_id}
            yield InfoMetricFamily("wardround_clinic_model", "The model in service.", facts)

    def _ended(self, source: str, told: "Future[Case]", seconds: float) -> None:
        door = source if source in _DOORS else _OTHER
        error = None if told.cancelled() else told.exception()
        with self._lock:
            self._waiting -= 1
            if told.cancelled() or error is not None:
                self._refusals[error.code if isinstance(error, WardroundError) else _OTHER] += 1
                return
            self._answers[(told.result().answer.verdict, door)] += 1
            self._answered += 1
            self._seconds += seconds
            for edge in _SECONDS:
                self._within[edge] += seconds <= edge
