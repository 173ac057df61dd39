"""The generated page is what the program generates."""

from wardround.study.reference import reference

from .pages import read


def test_the_study_reference_is_up_to_date() -> None:
    """A setting that is not in the reference does not exist for its readers. Mend: wardround study reference > the page."""
    assert read("docs/study-reference.md") == reference()
