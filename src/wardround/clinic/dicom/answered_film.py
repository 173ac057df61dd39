"""A film with its answer: what every result is made of, and the names that follow from it."""

from dataclasses import dataclass
from datetime import datetime

from wardround.clinic.answering.answer import AnswerInParts, AnyAnswer
from wardround.clinic.answering.parts_in_words import lines_in_parts
from wardround.clinic.answering.question import Question, lines_of
from wardround.clinic.dicom.film_header import FilmHeader
from wardround.clinic.dicom.uids import derived_uid
from wardround.values.version import __version__


@dataclass(frozen=True)
class AnsweredFilm:
    """when: with a time zone, when the answer was given."""

    film: FilmHeader
    answer: AnyAnswer
    question: Question
    when: datetime

    @property
    def lines(self) -> list[str]:
        """The answer in words."""
        if isinstance(self.answer, AnswerInParts):
            return lines_in_parts(self.question, self.answer, __version__)
        return lines_of(self.question, self.answer, __version__)

    @property
    def local(self) -> datetime:
        """When, in the one zone that an object's times have: the film's, where it names one, else the hospital's."""
        return self.when.astimezone(self.film.zone)

    def uid(self, kind: str) -> str:
        """The UID of one of its results: the same for the same film, model and acceptance."""
        return derived_uid(kind, self.film.sop_instance_uid, self.answer.model, self.answer.acceptance)
