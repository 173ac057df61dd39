"""An answer of every kind of question but yes or no, told and not told, with the question that it answers."""

from dataclasses import dataclass, replace

from wardround.clinic.answering.answer import AnswerInParts, Part, Reason, Unusual
from wardround.clinic.answering.question import Question

HEART = Question("kind of heart disease", "finding", "99WARDROUND")
DAYS = replace(HEART, finding="days in intensive care", unit="days")


@dataclass(frozen=True)
class Asked:
    name: str
    question: Question
    answer: AnswerInParts


def answer(
    kind: str, words: str, *parts: Part, reasons: tuple[Reason, ...] = (), unusual: Unusual | None = None
) -> AnswerInParts:
    verdict = "cannot-tell" if reasons else "told"
    return AnswerInParts(kind, words, parts, verdict, reasons, unusual, 1, "ab" * 32, "0123456789abcdef")


CLASSES = (
    Part("normal", 0.05, 0.1, None, None, "ruled-out"),
    Part("bacterial", 0.72, 0.6, None, None, "held"),
    Part("Ödem", 0.23, 0.3, None, None, "ruled-out"),
)
GRADES = tuple(Part(str(grade), (0.1, 0.6, 0.3)[grade], 0.3, None, None, "held") for grade in range(3))
FINDINGS = (
    Part("effusion", 0.83, 0.7, None, None, "positive"),
    Part("oedema", 0.02, 0.1, None, None, "negative"),
    Part("fracture", 0.4, 0.4, None, None, "cannot-tell"),
)
TIME = (
    Part("365 days", 0.92, 0.9, 0.85, 0.96, "value"),
    Part("1095 days", 0.71, 0.7, None, None, "value"),
)
ASKED = (
    Asked("classes", HEART, answer("classes", "bacterial", *CLASSES, unusual=Unusual(2.5, 10.0))),
    Asked("classes untold", HEART, answer("classes", "Ödem", *CLASSES, reasons=("several-fit",))),
    Asked("grades", HEART, answer("grades", "1", *GRADES)),
    Asked("grades untold", HEART, answer("grades", "1", *GRADES, reasons=("wide",))),
    Asked("findings", HEART, answer("findings", "effusion", *FINDINGS, unusual=Unusual(12.5, 10.0))),
    Asked("number", DAYS, answer("number", "3.4 days", Part("x", 3.42, 3.1, 2.1, 6.0, "value"))),
    Asked("number untold", DAYS, answer("number", "3.4 days", Part("x", 3.42, 3.1, 0.1, 29.0, "value"), reasons=("wide",))),
    Asked("count", replace(DAYS, unit="Besuche à la carte"), answer("count", "2", Part("x", 2.0, 2.2, 0.0, 5.0, "value"))),
    Asked("time", replace(DAYS, horizons=(365.0, 1095.0)), answer("time", "92 %", *TIME)),
    Asked("time untold", replace(DAYS, horizons=(365.0, 1095.0)), answer("time", "92 %", *TIME, reasons=("unusual",))),
)
