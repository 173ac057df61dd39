"""Films on the disk, where the hospital's settings say so: pixels without a header, under the id of their case.

They let a doctor see a film again after a restart, and see earlier cases of this hospital that look like it.
"""

import io
import re
import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wardround.clinic.intake.film import Film, Shown
from wardround.values.durable import write_atomic
from wardround.values.private_files import private_folder, read_private

_SIDE = 16
_LARGEST = 1 << 28
_NAME = re.compile(r"[0-9a-f]{32}")


class KeptFilms:
    """The folder `films` of a clinic."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._lock = folder, threading.Lock()
        private_folder(folder, signs=())
        self._looks: dict[str, NDArray[np.float32]] | None = None

    def keep(self, case_id: str, film: Film) -> None:
        """Writes the film, whole or not at all."""
        shown = film.shown
        arrays: dict[str, NDArray[np.generic]] = {"prepared": film.prepared}
        if shown is not None:
            arrays |= {"pixels": shown.pixels, "window": np.array([*shown.window, float(shown.inverted), float(shown.reduced)])}
        file = io.BytesIO()
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
        write_atomic(self._path(case_id), file.getvalue(), private=True)
        if self._looks is not None:
            self._looks[case_id] = _look(film.prepared)

    def read(self, case_id: str) -> Film | None:
        """None where it was not kept."""
        content = read_private(self._path(case_id), _LARGEST) if _NAME.fullmatch(case_id) else None
        if content is None:
            return None
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            shown = None
            if "pixels" in arrays:
                low, high, inverted, reduced = arrays["window"].tolist()
                shown = Shown(arrays["pixels"], (low, high), bool(inverted), int(reduced))
            return Film(arrays["prepared"], shown)

    def nearest(self, film: Film, count: int, *, besides: str) -> Sequence[str]:
        """Ids of the cases whose films look most like this one: by the correlation of their thumbnails."""
        looks, mine = self._all(), _look(film.prepared)
        names = [name for name, look in looks.items() if name != besides and look.shape == mine.shape]
        likeness = [float(looks[name] @ mine) for name in names]
        return [names[number] for number in np.argsort(likeness)[::-1][:count]]

    def _all(self) -> dict[str, NDArray[np.float32]]:
        with self._lock:
            if self._looks is None:
                self._looks = {}
                for path in sorted(self._folder.glob("*.npz")):
                    film = self.read(path.stem)
                    if film is not None:
                        self._looks[path.stem] = _look(film.prepared)
            return self._looks

    def _path(self, case_id: str) -> Path:
        return self._folder / f"{case_id}.npz"


def _look(prepared: NDArray[np.generic]) -> NDArray[np.float32]:
    """A thumbnail (256,) of mean 0 and length 1, so that brightness and contrast do not count."""
    grey = np.asarray(prepared, np.float32)
    grey = grey if grey.ndim == 2 else grey.mean(axis=2)
    rows = np.linspace(0, grey.shape[0], _SIDE + 1).astype(int)[:-1]
    columns = np.linspace(0, grey.shape[1], _SIDE + 1).astype(int)[:-1]
    small = np.add.reduceat(np.add.reduceat(grey, rows, axis=0), columns, axis=1).reshape(-1)
    small = small - small.mean()
    return np.asarray(small / (np.linalg.norm(small) or 1.0), np.float32)
