"""Starter studies: sound files to begin from, every choice explained in place."""

from importlib.resources import files

from wardround.values.errors import StudyError

KINDS = ("image", "table")


def starter(kind: str) -> str:
    """The text of a starter study; kind: image or table."""
    if kind not in KINDS:
        raise StudyError("There is no such starter", expected=" or ".join(KINDS), found=kind[:40])
    return (files("wardround.study") / "starters" / f"{kind}.toml").read_text("utf-8")
