"""An answer is what the record says of the model's score, and nothing else makes one."""

import itertools
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

from wardround.clinic.answering.moved import moved
from wardround.clinic.answering.network import Network, open_network
from wardround.clinic.answering.serving import in_service, in_shadow, serving_model
from wardround.clinic.answering.unusual import UnusualReference, fit_reference
from wardround.clinic.place.acceptance_record import UnusualRecord, keep_acceptance
from wardround.clinic.place.clinic_place import ClinicPlace, ClinicSettings
from wardround.clinic.place.service import activate, roll_back, start_shadow
from wardround.sources import network_input, prepare
from wardround.study.contract import ColumnContract, DataContract
from wardround.tasks.binary.conformal import ConformalLimits
from wardround.tasks.binary.local_map import LocalMap
from wardround.values.errors import RunError

from .made_models import FILMS, SIDE, TABLE, curved_model, film_model, linear_model, mirrored_film_model, record_of

LIMITS = ConformalLimits(promise=0.9, positive_from=-1.0, negative_to=1.0, positives=40, negatives=60)
APART = ConformalLimits(promise=0.9, positive_from=1.0, negative_to=-1.0, positives=40, negatives=60)
WEIGHTS = np.array([0.5, -1.0, 2.0, 0.25])


def film(level: float) -> np.ndarray:
    return np.full((1, SIDE, SIDE), level, np.float32)


def level_for(score: float, bias: float = -2.0, gain: float = 20.0) -> float:
    return 0.6 + (score - bias) / gain


@pytest.mark.parametrize(
    ("limits", "bias", "verdict", "reasons"),
    [
        (LIMITS, 2.0, "positive", ()),
        (LIMITS, -2.0, "negative", ()),
        (LIMITS, 0.0, "cannot-tell", ("both-fit",)),
        (APART, 0.0, "cannot-tell", ("neither-fits",)),
        (APART, 2.0, "positive", ()),
        (ConformalLimits(promise=0.9, positives=3, negatives=3), 9.0, "cannot-tell", ("both-fit",)),
    ],
)
def test_the_verdict_follows_the_limits(limits: ConformalLimits, bias: float, verdict: str, reasons: tuple[str, ...]) -> None:
    """A yes that the limits do not carry would break the promise."""
    content = film_model(bias=bias)
    answer = serving_model(content, record_of(content, FILMS, limits=limits)).answer(film(0.0))
    assert (answer.verdict, answer.reasons) == (verdict, reasons)
    assert math.isclose(answer.raw_probability, 1 / (1 + math.exp(-bias)), abs_tol=1e-6)


def test_the_probability_is_the_calibrated_one() -> None:
    """What a doctor reads is what was tested here, not what the study's hospitals made of it."""
    content = film_model(bias=1.0)
    local = LocalMap(name="platt", slope=0.5, offset=-1.0)
    answer = serving_model(content, record_of(content, FILMS, local=local)).answer(film(0.0))
    assert math.isclose(answer.probability, 1 / (1 + math.exp(0.5)), abs_tol=1e-6)
    assert answer.threshold == 0.5 and len(answer.model) == 64 and len(answer.acceptance) == 16


def test_many_are_answered_as_one_by_one() -> None:
    """A batch of a night and a single film must agree."""
    content = film_model()
    model = serving_model(content, record_of(content, FILMS))
    films = np.random.default_rng(0).random((70, 1, SIDE, SIDE), np.float32)
    many = model.answer_many(films)
    assert len(many) == 70
    for row in (0, 31, 32, 69):
        assert abs(many[row].probability - model.answer(films[row]).probability) < 1e-6


def test_an_acceptance_of_another_model_serves_none() -> None:
    """The limits of one model on the scores of another would be a promise about nothing."""
    with pytest.raises(RunError, match="another model"):
        serving_model(film_model(bias=1.0), record_of(film_model(), FILMS))
    with pytest.raises(RunError, match="no model"):
        open_network(b"no onnx")


def test_a_model_whose_numbers_lie_elsewhere_is_refused(tmp_path: Path) -> None:
    """It would read a file of this machine that nobody signed."""
    model = onnx.load_model_from_string(film_model())
    onnx.external_data_helper.convert_model_to_external_data(model, location="weights.bin", size_threshold=0)
    onnx.save_model(model, tmp_path / "model.onnx")
    with pytest.raises(RunError, match="another file"):
        open_network((tmp_path / "model.onnx").read_bytes())


def test_what_is_in_service_answers_and_what_was_taken_back_does_not(tmp_path: Path) -> None:
    """From the log to the answer, through every file of the folder."""
    clinic = ClinicPlace.begin(tmp_path / "clinic", ClinicSettings(hospital="St Anna"))
    assert in_service(clinic) is None
    names = []
    for bias in (-2.0, 2.0):
        content = film_model(bias=bias)
        names.append(keep_acceptance(clinic, record_of(content, FILMS)))
        activate(clinic, names[-1], clinic.keep_model(content), by="Dr Li")
    assert in_service(clinic).answer(film(0.0)).verdict == "positive"
    roll_back(clinic, by="Dr Li")
    answer = in_service(clinic).answer(film(0.0))
    assert (answer.verdict, answer.acceptance) == ("negative", names[0])
    start_shadow(clinic, names[1], in_service(clinic).acceptance.model, by="Dr Li")
    assert in_shadow(clinic).acceptance_id == names[1]
    clinic.model_file(in_service(clinic).acceptance.model).unlink()
    with pytest.raises(RunError, match="gone"):
        in_service(clinic)


def test_of_a_linear_model_a_share_is_weight_times_distance() -> None:
    """The one case in which everybody can check the shares."""
    network = open_network(linear_model(WEIGHTS, 0.3))
    record = network_input(TABLE, prepare(TABLE, {"age": 80, "sex": "m", "pressure": 180})[None])[0]
    mean = np.array([0.1, 0.6, 0.4, -0.2], np.float32)
    shares = moved(network, record, mean)
    products = WEIGHTS * (record - mean)
    assert [one.column for one in shares] == ["age", "sex", "pressure"]
    assert np.allclose([one.share for one in shares], [products[0], products[1] + products[2], products[3]], atol=1e-5)


def columns(count: int) -> DataContract:
    named = tuple(ColumnContract(name=f"x{number}", center=0, scale=1) for number in range(count))
    return DataContract(kind="table", columns=named, label=TABLE.label)


def by_definition(network: Network, record: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """The mean over all orders, one by one."""
    count, shares = len(record), np.zeros(len(record))
    orders = list(itertools.permutations(range(count)))
    for order in orders:
        own = mean.copy()
        before = network.scores(own[None])[0]
        for column in order:
            own[column] = record[column]
            after = network.scores(own[None])[0]
            shares[column] += (after - before) / len(orders)
            before = after
    return shares


def test_exact_shares_are_those_of_the_definition() -> None:
    """All sets with their weights must give the mean over all orders."""
    rng = np.random.default_rng(3)
    network = open_network(curved_model(rng.normal(size=(5, 4)), rng.normal(size=4), columns(5)))
    record, mean = rng.normal(size=(2, 5)).astype(np.float32)
    shares = np.array([one.share for one in moved(network, record, mean)])
    assert np.allclose(shares, by_definition(network, record, mean), atol=1e-5)


def test_sampled_shares_add_up_and_keep_their_stated_error() -> None:
    """With many columns the shares are drawn; the sum is exact, and the error is what it says."""
    rng = np.random.default_rng(5)
    count = 16
    network = open_network(curved_model(rng.normal(size=(count, 6)), rng.normal(size=6), columns(count)))
    record, mean = rng.normal(size=(2, count)).astype(np.float32)
    shares = moved(network, record, mean)
    both = network.scores(np.stack([record, mean]))
    assert abs(sum(one.share for one in shares) - (both[0] - both[1])) < 1e-4
    assert 0 < max(one.error for one in shares) < 0.2
    linear = open_network(linear_model(np.arange(count), 0.0, columns(count)))
    exact = np.arange(count) * (record - mean)
    assert np.allclose([one.share for one in moved(linear, record, mean)], exact, atol=1e-3)


def test_a_record_from_elsewhere_is_unusual_and_gets_no_yes(tmp_path: Path) -> None:
    """A model answers anything; only the distance says that it should not."""
    rng = np.random.default_rng(1)
    films = np.clip(0.5 + 0.1 * rng.normal(size=(80, 1, 1, 1)) + 0.02 * rng.normal(size=(80, 1, SIDE, SIDE)), 0, 1)
    films = films.astype(np.float32)
    content = film_model(bias=3.0)
    embedding = open_network(content).outputs(films).embedding
    fitted = fit_reference(films, embedding, np.arange(80) % 5)
    (tmp_path / "references").mkdir(mode=0o700)
    sha256 = fitted.reference.keep(tmp_path / "references")
    reference = UnusualReference.at(tmp_path / "references", sha256)
    limit = float(np.quantile(fitted.own, 0.98))
    record = record_of(content, FILMS, limits=LIMITS)
    record = record.changed(unusual=UnusualRecord(reference=sha256, limit=limit, share=0.02))
    model = serving_model(content, record, reference)
    usual, noise = model.answer(films[0]), model.answer(rng.random((1, SIDE, SIDE), np.float32))
    assert usual.verdict == "positive" and not usual.unusual.beyond
    assert noise.verdict == "cannot-tell" and noise.reasons == ("unusual",) and noise.unusual.beyond
    path = tmp_path / "references" / f"{sha256}.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"\x01")
    with pytest.raises(RunError, match="changed"):
        UnusualReference.at(tmp_path / "references", sha256)


@pytest.mark.parametrize(
    "content",
    [film_model(), mirrored_film_model(), mirrored_film_model(pools=False)],
    ids=["one branch", "with its mirror image", "without a pool"],
)
def test_the_heat_map_finds_the_bright_part(content: bytes) -> None:
    """A map that points elsewhere is worse than none; of a mirrored branch it must be turned back."""
    model = serving_model(content, record_of(content, FILMS))
    for row, column in ((4, 4), (20, 8), (12, 24)):
        bright = film(0.2)
        bright[0, row : row + 6, column : column + 6] = 1.0
        heat = model.heat_map(bright)
        assert heat.shape == (SIDE, SIDE) and heat.min() >= 0 and heat.max() <= 1
        top = np.unravel_index(heat.argmax(), heat.shape)
        assert abs(top[0] - row - 2.5) <= 5 and abs(top[1] - column - 2.5) <= 5
    assert not model.heat_map(film(0.2)).any()


def test_the_part_behind_the_maps_gives_the_same_score() -> None:
    """Or the map would be of another model."""
    film_of_noise = np.random.default_rng(2).random((1, SIDE, SIDE), np.float32)
    for content, mirrored in ((film_model(), (False,)), (mirrored_film_model(), (False, True))):
        network = open_network(content)
        assert network.ending.mirrored == mirrored
        assert np.allclose(network.ending.scores(network.maps(film_of_noise)), network.scores(film_of_noise[None]), atol=1e-5)
    assert open_network(mirrored_film_model(pools=False)).ending is None


def test_answers_need_no_torch() -> None:
    """The service must start in three seconds and stay small."""
    program = (
        "import sys, wardround.clinic.answering.serving; print([name for name in sys.modules if name.split('.')[0] == 'torch'])"
    )
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout == "[]\n"
