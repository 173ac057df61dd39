"""The whole service under kill -9: what a machine was told over HTTP is there afterwards, by a model that was in service then."""

import itertools
import os
import random
import signal
import threading
import time
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from tests.clinic.dicom_files import dicom, film_pixels
from tests.clinic.made_clinics import film_clinic, serve_model
from tests.clinic.made_models import FILMS, film_model
from wardround.clinic.place.service import service_of
from wardround.clinic.store.cases import case_of
from wardround.clinic.store.database import Store
from wardround.clinic.store.people import People
from wardround.clinic.web.server import store_url

from .served import served

FILM = dicom(film_pixels(), BitsStored=12)
CHANGE_S = 5.0
"""A change of model is over by then, and the service has seen it, on a busy machine too."""
Told = dict[str, tuple[float, float, float]]
"""Case -> seconds since 1970 before it was asked and after it was told, and the probability that was told."""


def asking(address: str, key: str, told: Told) -> None:
    """Asks until nobody answers any more."""
    with suppress(httpx.HTTPError), httpx.Client(base_url=f"http://{address}", timeout=60) as client:
        while True:
            began = time.time()
            headers = {"authorization": f"Bearer {key}", "content-type": "application/dicom"}
            reply = client.post("/v1/predict", content=FILM, headers=headers)
            if reply.status_code == 200:  # a busy machine may refuse one: that acknowledges nothing
                answer = reply.json()
                told[answer["case"]] = (began, time.time(), answer["probability"])


@pytest.mark.slow
@pytest.mark.parametrize("kills", [3, pytest.param(100, marks=[pytest.mark.many, pytest.mark.timeout(3600)])])
def test_the_killed_service_has_every_case_that_it_acknowledged_by_a_model_that_was_active(tmp_path: Path, kills: int) -> None:
    """Two machines ask without a pause, somebody changes what is in service, and the process dies at random instants."""
    clinic, told, rng = film_clinic(tmp_path / "clinic"), {}, random.Random(kills)
    with Store(store_url(clinic)) as store:
        key = People(store, clinic.path).add_key("machine", actor="test")
    activations = [(0.0, service_of(clinic).answering.acceptance)]
    for kill in range(kills):
        with served(clinic.path) as (address, process):
            machines = [threading.Thread(target=asking, args=(address, key, told)) for _ in range(2)]
            for machine in machines:
                machine.start()
            before = len(told)
            while len(told) < before + 4 and all(machine.is_alive() for machine in machines):
                time.sleep(0.01)  # its decoders take a while to start
            time.sleep(rng.uniform(0.0, 0.2))
            activations.append((time.time(), serve_model(clinic, film_model(bias=kill / 10), FILMS)))
            time.sleep(rng.uniform(0.0, 0.4))
            os.kill(process.pid, signal.SIGKILL)
            for machine in machines:
                machine.join()
    assert len(told) >= 4 * kills
    with Store(store_url(clinic)) as store:
        for case_id, (asked, answered, probability) in told.items():
            case = case_of(store, case_id)
            assert case is not None and case.answer["probability"] == probability
            assert case.acceptance in active(activations, asked, answered)


def active(activations: list[tuple[float, str]], begin: float, end: float) -> set[str]:
    """What was in service at some moment between the two. A change is made some time after the moment that is noted of it."""
    spans = itertools.pairwise([*activations, (float("inf"), "")])
    return {one for (since, one), (until, _) in spans if since <= end and until + CHANGE_S >= begin}
