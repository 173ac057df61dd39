"""Starter studies: sound files to begin from, every choice explained in place."""

from importlib.resources import files

from wardround.values.errors import StudyError

KINDS = ("image", "table", "molecule")
ANALYSES = ("describe", "effect", "regression", "survival")
"""Kinds of analyses with a starter of their own."""
PARTNERS, TASK = "partners", "task"
"""A study whose hospitals keep their questions, and one hospital's task file for it."""


def starter(kind: str) -> str:
    """The text of a starter study; kind: image, table or molecule, or an analysis; or PARTNERS or TASK."""
    known_starters = (*KINDS, PARTNERS, TASK, *ANALYSES)
    if kind not in known_starters:
        raise StudyError("There is no such starter", expected=" or ".join(known_starters), found=kind[:40])
    return (files("wardround.study") / "starters" / f"{kind}.toml").read_text("utf-8")
