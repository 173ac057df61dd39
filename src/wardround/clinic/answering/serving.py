"""The model that is in service: loaded once, asked for every record.

models/SHA.onnx + acceptances/ID.json (+ references/SHA.safetensors) --serving_model--> ServingModel
network input --answer--> Answer          --heat_map--> (height, width) in [0, 1]
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from wardround.clinic.answering.answer import Answer, AnswerInParts, AnyAnswer, Moved, Reason, Unusual
from wardround.clinic.answering.heat_map import heat_map
from wardround.clinic.answering.moved import moved
from wardround.clinic.answering.network import Network, open_network
from wardround.clinic.answering.unusual import UnusualReference
from wardround.clinic.kinds.protocol import Kind
from wardround.clinic.kinds.registry import kind_of
from wardround.clinic.place.acceptance_record import AcceptanceRecord, TunedRecord, read_acceptance
from wardround.clinic.place.clinic_place import ClinicPlace
from wardround.clinic.place.service import Deployed, service_of
from wardround.study.contract import DataContract
from wardround.tasks.binary.conformal import verdicts
from wardround.tasks.binary.score_sums import probability
from wardround.tasks.protocol import Floats
from wardround.values.canonical import sha256_hex
from wardround.values.errors import RunError


@dataclass(frozen=True)
class ServingModel:
    """A model with its acceptance. It holds no state: several threads may ask it at once."""

    network: Network
    acceptance: AcceptanceRecord
    acceptance_id: str
    reference: UnusualReference | None = None

    @property
    def contract(self) -> DataContract:
        """What a record must look like: `sources.prepare(contract, raw)`, then `sources.network_input`."""
        return self.network.statement.data

    @cached_property
    def _kind(self) -> Kind | None:
        return kind_of(self.contract.label)

    def answer(self, network_input: NDArray[np.float32]) -> AnyAnswer:
        """Of one network input, (channels, height, width) or (features,), or a batch of one. For a table with what moved it."""
        record = np.asarray(network_input, np.float32).reshape(1, *self.contract.input_shape)
        return self._answers(record, self._moved(record[0]))[0]

    def answer_many(self, network_inputs: NDArray[np.float32]) -> tuple[AnyAnswer, ...]:
        """Of n network inputs, in their order; without what moved them."""
        return self._answers(np.asarray(network_inputs, np.float32).reshape(-1, *self.contract.input_shape), ())

    def heat_map(self, network_input: NDArray[np.float32]) -> NDArray[np.float32]:
        """(height, width) in [0, 1]: where a film speaks for the finding. A hint, no proof. RunError for a table."""
        if self.contract.kind != "image":
            raise RunError("A table has no heat map", hint="look at what moved the answer")
        film = np.asarray(network_input, np.float32).reshape(self.contract.input_shape)
        return heat_map(self._focused(film), film)

    def _focused(self, record: NDArray[np.float32]) -> Network:
        """The network, asked about what it says of this record: its class, its likeliest finding, its number."""
        kind, tuned = self._kind, self.acceptance.tuned
        if kind is None or tuned is None:
            return self.network
        outputs = kind.outputs(self.network.outputs(record[None]).shown)
        focus = kind.focus(kind.correcting.corrected(outputs, tuned.correction))
        return self.network.about(lambda shown: kind.pull(kind.outputs(shown), focus))

    def _answers(self, inputs: NDArray[np.float32], shares: Sequence[Moved]) -> tuple[AnyAnswer, ...]:
        outputs = self.network.outputs(inputs)
        if not np.isfinite(outputs.shown).all():
            raise RunError("The model gives a score that is no number", hint="take it out of service: wardround clinic rollback")
        unusual = self._unusual(inputs, outputs.embedding)
        kind, tuned = self._kind, self.acceptance.tuned
        if kind is not None and tuned is not None:
            return self._in_parts(kind, tuned, outputs.shown, unusual, tuple(shares))
        return self._yes_or_no(outputs.shown[:, 0], unusual, tuple(shares))

    def _in_parts(
        self, kind: Kind, tuned: TunedRecord, shown: Floats, unusual: list[Unusual | None], shares: tuple[Moved, ...]
    ) -> tuple[AnyAnswer, ...]:
        outputs = kind.outputs(shown)
        corrected = kind.correcting.corrected(outputs, tuned.correction)
        bins = kind.score_bins(corrected).tolist()
        return tuple(
            AnswerInParts(
                kind=self.contract.label.kind,
                answer=said.answer,
                parts=said.parts,
                verdict="cannot-tell" if reasons else "told",
                reasons=reasons,
                unusual=unusual[row],
                score_bin=bins[row],
                model=self.acceptance.model,
                acceptance=self.acceptance_id,
                moved=shares,
            )
            for row, said in enumerate(kind.said(outputs, corrected, tuned.limits, tuned.widest))
            for reasons in [_with_unusual(said.reasons, unusual[row])]
        )

    def _yes_or_no(self, scores: Floats, unusual: list[Unusual | None], shares: tuple[Moved, ...]) -> tuple[AnyAnswer, ...]:
        record, tuned = self.acceptance, self.acceptance.yes_or_no
        calibrated = tuned.calibration.chosen.probabilities(scores)
        raw = probability(scores)
        may_be = tuned.conformal.limits.may_be(scores)
        return tuple(
            Answer(
                probability=float(calibrated[row]),
                raw_probability=float(raw[row]),
                verdict="cannot-tell" if reasons else verdict,
                reasons=reasons,
                unusual=unusual[row],
                threshold=tuned.threshold,
                model=record.model,
                acceptance=self.acceptance_id,
                moved=shares,
            )
            for row, verdict in enumerate(verdicts(tuned.conformal.limits, scores))
            for reasons in [_reasons(bool(may_be[0][row]), bool(may_be[1][row]), unusual[row])]
        )

    def _unusual(self, inputs: NDArray[np.float32], embedding: NDArray[np.float32]) -> list[Unusual | None]:
        if self.reference is None or self.acceptance.unusual is None:
            return [None] * len(inputs)
        limit = self.acceptance.unusual.limit
        return [Unusual(float(score), limit) for score in self.reference.scores(inputs, embedding)]

    def _moved(self, record: NDArray[np.float32]) -> tuple[Moved, ...]:
        if self.contract.kind != "table" or self.reference is None:
            return ()
        return moved(self._focused(record), record, self.reference.mean_input)


def _reasons(positive: bool, negative: bool, unusual: Unusual | None) -> tuple[Reason, ...]:
    undecided: tuple[Reason, ...] = () if positive != negative else ("both-fit",) if positive else ("neither-fits",)
    return _with_unusual(undecided, unusual)


def _with_unusual(reasons: tuple[Reason, ...], unusual: Unusual | None) -> tuple[Reason, ...]:
    return (*reasons, "unusual") if unusual is not None and unusual.beyond else reasons


def serving_model(
    content: bytes, record: AcceptanceRecord, reference: UnusualReference | None = None, *, threads: int = 1
) -> ServingModel:
    """From a model's bytes and its acceptance. RunError where the acceptance is of another model or question."""
    if sha256_hex(content) != record.model:
        raise RunError(
            "The acceptance is of another model", expected=record.model, found=sha256_hex(content), hint="accept this one"
        )
    network = open_network(content, threads=threads)
    if (kind_of(network.statement.data.label) is None) != (record.tuned is None):
        raise RunError("The acceptance is of another question than the model's", hint="accept the model again")
    return ServingModel(network, record, record.id, reference)


def load_serving(clinic: ClinicPlace, acceptance: str, *, threads: int = 1) -> ServingModel:
    """The model of an acceptance of this clinic. RunError where a file is gone, was changed or was not signed here."""
    record = read_acceptance(clinic, acceptance)
    reference = None if record.unusual is None else UnusualReference.at(clinic.references, record.unusual.reference)
    return serving_model(clinic.read_model(record.model), record, reference, threads=threads)


def in_service(clinic: ClinicPlace, *, threads: int = 1) -> ServingModel | None:
    """The model that answers now; None where there is none. Ask again when `clinic.place.service.stamp` has changed."""
    return _loaded(clinic, service_of(clinic).answering, threads)


def in_shadow(clinic: ClinicPlace, *, threads: int = 1) -> ServingModel | None:
    """The model whose answers are logged and not shown; None where there is none."""
    return _loaded(clinic, service_of(clinic).shadow, threads)


def _loaded(clinic: ClinicPlace, deployed: Deployed | None, threads: int) -> ServingModel | None:
    return None if deployed is None else load_serving(clinic, deployed.acceptance, threads=threads)
