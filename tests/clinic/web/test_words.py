"""Both languages say everything; and what a patient reads is easy to read."""

import ast
import math
import re
from pathlib import Path

import pytest

from tests.clinic.made_models import FILMS, film_model, record_of
from wardround.clinic.answering.answer import Answer, Unusual
from wardround.clinic.intake.desk import as_json
from wardround.clinic.store.people import ROLES
from wardround.clinic.web.saying import COVERAGES, FIGURES, frequency, percent, said_of
from wardround.clinic.web.sheets import Privacy, leaflet, most_right, patient_sheet, privacy_words
from wardround.clinic.web.words import LANGUAGES, Words, catalogue, errors, gaps, patterns
from wardround.sources.dicom.picture.findings import FINDINGS
from wardround.sources.images.image_decoding import FAULTS, GREY_BELOW
from wardround.sources.images.pixels import FAULTS as PIXEL_FAULTS
from wardround.values.errors import DataError

CLINIC = Path(__file__).parents[3] / "src" / "wardround" / "clinic"
RECORD = record_of(film_model(), FILMS)


def answer(probability: float, verdict: str = "positive", *, beyond: bool = False, reasons: tuple[str, ...] = ()):
    unusual = Unusual(2.0 if beyond else 0.1, 1.0)
    return as_json(Answer(probability, probability, verdict, reasons, unusual, 0.5, RECORD.model, RECORD.id))


def test_every_language_has_the_same_sentences_with_the_same_gaps() -> None:
    """A missing one would be an error on a page in the middle of a night."""
    english = catalogue("en")
    for language in LANGUAGES:
        other = catalogue(language)
        assert set(other) == set(english)
        for name, text in english.items():
            assert set(re.findall(r"\{(\w+)\}", other[name])) == set(re.findall(r"\{(\w+)\}", text)), name
            assert other[name].strip()


def test_chinese_is_chinese() -> None:
    """A sentence that was copied and never translated."""
    kept = {
        "source.dicom",
        "source.fhir",
        "source.hooks",
        "app.name",
        "figure.auc",
        "figure.ece",
        "source.rest",
        "ask.tried",
        "feedback.line",
        "group.line",
        "answer.between",
        "answer.classes",
        "answer.horizon",
        "answer.number",
        "figures.line",
    }
    same = {name for name, text in catalogue("zh").items() if not re.search("[一-鿿]", text)}
    assert same <= kept
    assert all(re.search("[一-鿿]", text) or text.startswith("wardround") for text in errors("zh").values())


def test_every_sentence_that_a_page_asks_for_is_in_the_catalogue_and_no_other() -> None:
    """Names that are built at run time are listed by the values that they can have."""
    text = "\n".join(path.read_text("utf-8") for path in (*CLINIC.rglob("web/**/*.py"), *CLINIC.rglob("web/pages/*.html")))
    built = (
        {f"role.{role}" for role in ROLES}
        | {f"figure.{name}" for name in FIGURES}
        | {f"figures.{name}" for name in (*FIGURES, *COVERAGES)}
    )
    names = {name for name in catalogue("en") if f'"{name}"' in text or f"'{name}'" in text}
    rooms = (
        "role figure figures source identity reason said patient feedback error facts register ask watch item group calibration "
        "answer state"
    )
    prefixes = tuple(f"{room}." for room in rooms.split())
    assert built <= set(catalogue("en"))
    unused = {name for name in set(catalogue("en")) - names if not name.startswith(prefixes)}
    assert unused <= {"viewer.ready"}
    asked = set(re.findall(r"""(?:\bt|words)\(["']([a-z_]+\.[a-z_A-Z]+)["'][,)]""", text))
    assert asked and asked <= set(catalogue("en"))


def sentences_of_errors() -> set[str]:
    """What and hint of every error that a visitor can meet: of files, of forms, of accounts."""
    tables = [(text, hint) for _, text, hint in FINDINGS.values()] + [*FAULTS.values(), *PIXEL_FAULTS.values(), GREY_BELOW[1:]]
    said = {sentence for pair in tables for sentence in pair if sentence}
    paths = [path for folder in ("intake", "web", "store") for path in CLINIC.joinpath(folder).rglob("*.py")]
    for path in (*paths, CLINIC / "dicom" / "archive.py", CLINIC / "dicom" / "service.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("DataError", "RunError", "WardroundError"):
                texts = [*node.args[:1], *(word.value for word in node.keywords if word.arg == "hint")]
                said |= {sentence for one in texts if (sentence := _literal(one))}
    return said


def _literal(node: ast.expr) -> str:
    """The sentence, with a word for each gap; "" of one that comes from elsewhere."""
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "X" for part in node.values)
    return str(node.value) if isinstance(node, ast.Constant) else ""


def test_every_error_that_a_visitor_can_meet_is_translated() -> None:
    """A doctor who reads Chinese must learn from an error what to do."""
    words, said = Words("zh"), sentences_of_errors()
    of_the_command_line = {"The model in service reads X"}
    assert len(said) > 150
    assert [sentence for sentence in sorted(said - of_the_command_line) if words.sentence(sentence) == sentence] == []


def test_an_error_is_one_paragraph_in_either_language() -> None:
    """What, and what to do."""
    error = DataError("The file is too large", expected="at most 64 MiB", hint="export it smaller")
    assert Words("en").error(error) == "The file is too large. Expected: at most 64 MiB. What to do: export it smaller."
    assert Words("zh").error(error) == "文件太大。 怎么办：请导出较小的文件。"
    assert Words("zh").error(DataError("Unheard of")) == "Unheard of。"


@pytest.mark.parametrize("probability", [0.0, 1e-6, 0.0099, 0.01, 0.04, 0.0951, 0.5, 0.71, 0.9049, 0.95, 0.99, 0.9901, 1.0])
def test_a_natural_frequency_is_the_probability(probability: float) -> None:
    """Within half a step; and the ends are never called certain."""
    count, total = frequency(probability)
    assert 0 <= count <= total and abs(count / total - probability) <= 0.5 / total + 0.01 * (count in (0, total))
    assert "0 %" != percent(probability) != "100 %"
    said = said_of(answer(probability), RECORD, Words("en"))
    assert "0 show" not in said.frequency.replace("10 show", "").replace("0 shows", "") or "fewer than 1" in said.frequency


def test_an_unusual_film_is_said_before_anything_else() -> None:
    """Also where the model is sure of its answer."""
    said = said_of(answer(0.99, "cannot-tell", beyond=True, reasons=("unusual",)), RECORD, Words("en"))
    assert said.verdict == "cannot tell" and "does not look like the films that this model knows" in said.unusual
    assert said_of(answer(0.99), RECORD, Words("en")).unusual == ""


def grade(text: str) -> float:
    """Flesch-Kincaid grade level: 0.39 words a sentence + 11.8 syllables a word - 15.59 (J. Kincaid et al., 1975)."""
    sentences = [part for part in re.split(r"[.?!]+", text) if part.strip()]
    words = re.findall(r"[A-Za-z]+", text)
    return 0.39 * len(words) / len(sentences) + 11.8 * sum(map(syllables, words)) / len(words) - 15.59


def syllables(word: str) -> int:
    """Groups of vowels, without a silent e at the end.

    >>> [syllables(word) for word in ("be", "doctor", "medicine", "computer", "made", "people")]
    [1, 2, 3, 3, 1, 2]
    """
    word = word.lower()
    groups = len(re.findall("[aeiouy]+", word))
    silent = word.endswith("e") and not word.endswith(("le", "ee")) and groups > 1
    return max(1, groups - silent)


@pytest.mark.parametrize("verdict", ["positive", "negative", "cannot-tell"])
def test_a_patient_of_twelve_can_read_her_sheet(verdict: str) -> None:
    """Grade 6 is the reading age of 11 to 12; the finding's own name is left out of the count."""
    reasons = ("both-fit", "unusual") if verdict == "cannot-tell" else ()
    sheet = patient_sheet(answer(0.7, verdict, reasons=reasons), RECORD, Words("en"), "")
    assert grade(sheet.text.replace("pneumonia", "it")) <= 6.0
    jargon = r"probab|calibrat|algorithm|model|threshold|sensitiv|specific|AUC|percent|\bAI\b|neural|predict|epsilon"
    assert not re.search(jargon, sheet.text, re.IGNORECASE)
    assert max(len(part) for part in re.split("[。？！]", patient_sheet(answer(0.7), RECORD, Words("zh"), "").text)) <= 42


PROMISES = [None, Privacy(None), Privacy(None, masked=False), Privacy(1.0, 1e-5), Privacy(8.0, 1e-5), Privacy(1.0, 1e-5, "site")]


@pytest.mark.parametrize("privacy", PROMISES)
def test_the_leaflet_is_as_easy(privacy: Privacy | None) -> None:
    """It hangs in a corridor."""
    text = leaflet(RECORD, Words("en"), "", privacy).text
    assert grade(text.replace("pneumonia", "it")) <= 7.0 and "epsilon" not in text


@pytest.mark.parametrize(("epsilon", "delta"), [(0.0, 0.0), (0.1, 1e-6), (1.0, 1e-5), (2.0, 1e-3), (4.0, 1e-5)])
def test_the_sentence_on_privacy_is_what_epsilon_allows_rounded_up(epsilon: float, delta: float) -> None:
    """Rounded down it would promise more than is proved."""
    most = most_right(Privacy(epsilon, delta))
    exact = 100 * (math.exp(epsilon) / (1 + math.exp(epsilon)) + delta)
    assert most is not None and 0 <= most - exact < 1 + 1e-9
    assert str(most) in privacy_words(Privacy(epsilon, delta), Words("en"))


def test_a_promise_that_promises_nothing_is_not_made() -> None:
    """Above epsilon 5 a guesser is right 100 times of 100, rounded up: then no number is written."""
    for privacy in (Privacy(None), Privacy(20.0, 1e-5), Privacy(20.0, 1e-5, "site"), Privacy(1.0, 1e-5, "site")):
        assert not re.search(r"\d", privacy_words(privacy, Words("en")))


def test_each_kind_of_promise_is_told_from_the_others() -> None:
    """Sums that were not locked, and noise that hides hospitals, may not read as something better."""
    for language in LANGUAGES:
        said = [privacy_words(privacy, Words(language)) for privacy in PROMISES if privacy != Privacy(8.0, 1e-5)]
        assert len(set(said)) == 5


@pytest.mark.parametrize("parts", [parts for parts, _ in patterns("zh")])
def test_a_sentence_with_names_in_it_is_found_whatever_the_names_are(parts: tuple[str, ...]) -> None:
    """With each gap filled, by a word, by many, by signs that mean something to a pattern; never with an empty one."""
    for name in ("x", "a name (of two) [words].*", "名"):
        held = gaps(parts, name.join(parts))
        assert held is not None and name.join(parts) == "".join(a + b for a, b in zip(parts, [*held, ""], strict=True))
    assert gaps(parts, "".join(parts)) is None or len(set(parts)) < len(parts)


def test_a_crafted_text_keeps_no_page_busy() -> None:
    """Whoever names a study or a file can write what every gap could end at, thousands of times: it is looked at once."""
    for parts, _ in patterns("zh"):
        crafted = parts[0] + ("a" + "a".join(parts[1:-1])) * 10_000 + "~"
        assert (gaps(parts, crafted) is None) == (parts[-1] != "")
