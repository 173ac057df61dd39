"""The clinic's process: everything opened in order, served on one port, closed in the other order.

folder --> database --> decoders, model, batches (desk) --> accounts --> pages and REST at HOST:PORT
"""

import ctypes
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import uvicorn

from wardround.clinic.dicom.service import dicom_service
from wardround.clinic.fhir.tokens import Tokens
from wardround.clinic.intake.desk import Desk
from wardround.clinic.place.clinic_place import ClinicPlace
from wardround.clinic.store.database import Store
from wardround.clinic.store.opening import store_url as store_url
from wardround.clinic.store.people import People
from wardround.clinic.watch.metrics import Metrics
from wardround.clinic.watch.watcher import Watcher
from wardround.clinic.watch.withdrawal import LearntFrom
from wardround.clinic.web.app import application
from wardround.clinic.web.http_head import LimitedHead
from wardround.clinic.web.oidc import Provider
from wardround.clinic.web.state import ClinicState
from wardround.clinic.web.watched_folder import WatchedFolder
from wardround.values.allocator import give_back_at_once
from wardround.values.errors import RunError
from wardround.values.private_files import only_holder
from wardround.values.served_port import allowed_hosts, bound, is_loopback

Say = Callable[[str], None]
Begin = Callable[[ClinicState, str], None]
_CONNECTIONS = 400
_MEND = 'choose another address: wardround clinic up --listen 127.0.0.1:8480, or listen = "..." in clinic.toml'


@contextmanager
def opened(clinic: ClinicPlace, learnt: LearntFrom | None = None) -> Iterator[ClinicState]:
    """The running parts of a clinic, without a port. RunError where another process runs this clinic.

    learnt: who knows which studies learnt from a patient; None where there is no site of this hospital to ask.
    """
    settings = clinic.settings
    with ExitStack() as stack:
        taken = RunError("This clinic is up already, in another process", hint="end that one first")
        stack.enter_context(only_holder(clinic.path / "clinic.lock", taken))
        store = stack.enter_context(Store(store_url(clinic)))
        desk = stack.enter_context(Desk(clinic, store, keep=settings.keep_films))
        _ = desk.model_or_none
        session_s, idle_s = settings.session_minutes * 60.0, settings.idle_minutes * 60.0
        people = People(store, clinic.path, session_s=session_s, idle_s=idle_s)
        state = ClinicState(clinic, settings, store, desk, people, Metrics(desk), learnt=learnt)
        stack.enter_context(Watcher(desk))
        if settings.watched_folder:
            folder = Path(settings.watched_folder).expanduser()
            if not folder.is_dir():
                raise RunError(f"There is no folder {folder} to watch", hint="correct watched_folder in clinic.toml")
            state.folder = stack.enter_context(WatchedFolder(desk, folder))
        if settings.hooks is not None and settings.hooks.issuers:
            state.tokens = Tokens(settings.hooks)
        if settings.oidc is not None:
            state.provider = Provider(settings.oidc)
        state.dicom = stack.enter_context(dicom_service(desk))
        store.note("clinic", "up", "")
        try:
            yield state
        finally:
            store.note("clinic", "down", "")


def serve(
    clinic: ClinicPlace, say: Say, *, listen: str = "", begin: Begin | None = None, learnt: LearntFrom | None = None
) -> None:
    """Serves until the process is told to end. listen: HOST:PORT in place of the settings'. begin: called with what runs and the
    address, before the first request is answered. learnt: as in `opened`."""
    _one_thread_each()
    give_back_at_once()
    settings = clinic.settings
    address = listen or settings.listen
    with bound(address, "The clinic", _MEND) as listener, opened(clinic, learnt) as state:
        host, port = address.rpartition(":")[0], listener.getsockname()[1]
        app = application(state, allowed_hosts(f"{host}:{port}", settings.hosts))
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=False,
            proxy_headers=False,
            ws="none",
            lifespan="off",
            limit_concurrency=_CONNECTIONS,
            timeout_keep_alive=30,
            timeout_graceful_shutdown=10,
            http=LimitedHead,
        )
        say(f"The clinic of {settings.hospital}: http://{host}:{port}/")
        if state.dicom is not None:
            say(f"DICOM: {state.dicom.settings.ae_title} at {state.dicom.settings.address}, port {state.dicom.port}")
        model = state.model
        if model is None:
            say("No model is in service yet: wardround clinic accept MODEL --data NAME, then: wardround clinic activate")
        else:
            say(f"In service: {model.acceptance.statement.study_title}, model {model.acceptance.model[:12]}")
        if not is_loopback(address) and not settings.behind_tls:
            say(f"warning: {address} can be reached from other machines without TLS: put a TLS proxy before it (docs/clinic.md)")
        server = uvicorn.Server(config)
        if begin is not None:
            begin(state, f"http://{host}:{port}")
        with _signals_end_in_order():
            server.run(sockets=[listener])


def _one_thread_each() -> None:
    """Each thread of the clinic answers by itself. Threads of numpy's library below them would wait for each other, spinning:
    measured, 44 ms of processor time for what takes 25. Where numpy has another library, nothing is changed."""
    for path in (Path(np.__file__).parents[1] / "numpy.libs").glob("*openblas*"):
        limit = getattr(ctypes.CDLL(str(path)), "scipy_openblas_set_num_threads64_", None)
        if limit is not None:
            limit(1)


@contextmanager
def _signals_end_in_order() -> Iterator[None]:
    """The server ends at SIGTERM or Ctrl-C, and then raises the signal once more: that alone would end the process at once, with
    its decoders and its database open."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    kept = {number: signal.signal(number, lambda *_: None) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)
