"""Where matplotlib keeps its list of fonts: in Wardround's folder, not in the caches of the user."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import platformdirs

from wardround.values.home import default_home


@contextmanager
def own_folder() -> Iterator[None]:
    """matplotlib, imported inside, writes below `default_home()`, and still reads a user's own matplotlibrc.

    Nothing changes where the user has chosen matplotlib's folder, or has imported it. Its folders are settled by the import, so
    the environment is given back afterwards. A style library of the user's is not read then; import matplotlib first to have it.
    """
    if "MPLCONFIGDIR" in os.environ or "matplotlib" in sys.modules:
        yield
        return
    before = dict(os.environ)
    os.environ["MPLCONFIGDIR"] = str(default_home() / "matplotlib")
    if "MATPLOTLIBRC" not in before and (settings := _settings_of_the_user()).is_file():
        os.environ["MATPLOTLIBRC"] = str(settings)
    try:
        import matplotlib.font_manager  # noqa: F401  reads the list of fonts, or writes it

        yield
    finally:
        for variable in ("MPLCONFIGDIR", "MATPLOTLIBRC"):
            if variable not in before:
                os.environ.pop(variable, None)


def _settings_of_the_user() -> Path:
    """Where matplotlib itself would look: its folder follows the XDG rules on Linux alone."""
    if sys.platform.startswith(("linux", "freebsd")):
        return Path(platformdirs.user_config_dir("matplotlib")) / "matplotlibrc"
    return Path.home() / ".matplotlib" / "matplotlibrc"
