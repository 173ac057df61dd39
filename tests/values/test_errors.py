"""Errors: one family, every one with what was found and how to mend it, whole across process borders."""

import pickle

import pytest

from wardround.values import errors
from wardround.values.errors import RefusedError, WardroundError
from wardround.values.ids import site_id

KINDS = sorted(
    (kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, WardroundError)),
    key=lambda kind: kind.__name__,
)


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_crosses_a_process_border_whole(kind: type[WardroundError]) -> None:
    """Sites work in processes of their own; the mend must reach the person at the screen."""
    error = kind("It broke.", expected="a", found="b", hint="c")
    again = pickle.loads(pickle.dumps(error))  # noqa: S301  our own bytes
    assert type(again) is kind
    assert (str(again), again.code, again.exit_code) == (str(error), error.code, error.exit_code)
    assert str(again) == "It broke. Expected: a. Found: b. What to do: c."


def test_a_refusal_keeps_its_word_across_a_process_border() -> None:
    """The word is all that the coordinator learns."""
    error = RefusedError("No.", code="old-round")
    assert pickle.loads(pickle.dumps(error)).code == "old-round"  # noqa: S301
    assert RefusedError("No.").code == "refused"


def test_every_kind_has_its_own_code_and_exit_code() -> None:
    """A script tells failures apart by the exit code; two alike would send its owner to the wrong page."""
    assert len(KINDS) == 10
    assert len({kind.code for kind in KINDS}) == len(KINDS)
    assert len({kind.exit_code for kind in KINDS}) == len(KINDS)
    assert all(kind.exit_code > 0 for kind in KINDS)


@pytest.mark.parametrize("name", ["", "-north", "a/b", "..", "north\n", "n" * 64, "nörd", "a b"])
def test_a_name_that_could_leave_its_folder_is_refused(name: str) -> None:
    """A site's name becomes a folder; '../other' would write into another hospital's."""
    with pytest.raises(errors.StudyError, match="name"):
        site_id(name)
