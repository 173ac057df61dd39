"""Facts of a model in the reader's language: names of the card's items, of groups and maps, and what run records say.

text of the card --as its program wrote it--> part by part, else whole, by the catalogue --what it does not hold--> as it is
                 --a person's--> as it is
"""

import re
from collections.abc import Iterable, Iterator

from wardround.clinic.place.acceptance_record import CardItem, SubgroupRecord
from wardround.clinic.web.words import Words

_LONGEST, _LONGEST_PART = 4000, 300
"""Of a text that is looked up, and of a sentence in it. What a program writes is shorter; what others put into a record could
keep the patterns of the catalogue busy for ever."""
_BLANK = re.compile(r"\[to be filled in by [a-z ]+\]")
_EVENTS = re.compile(r"([^:]{1,80}): ([\d,]+) patients, ([\d,]+) records with ([^,;]{1,120})")
_FIGURE = re.compile(r"(?:([^:()]{1,80}): )?([^:()]{1,60}) ([\d.]+) \(([\d.]+) to ([\d.]+)\)")
_BETWEEN = re.compile(r"(; |\. )")
_RANGE = re.compile(r"(-?[\d.]+(?:e[+-]?\d+)?) to (-?[\d.]+(?:e[+-]?\d+)?)")
_STOPS = {"; ": "；", ". ": "。", ".": "。", "": ""}


def card_rows(shown: Iterable[CardItem], written: Iterable[CardItem], words: Words) -> Iterator[dict[str, str]]:
    """number, name and text of each item. written: the items as the acceptance filled them in; another text is a person's."""
    by_program = {item.number: item.text for item in written}
    for item in shown:
        text = told(item.text, words) if by_program.get(item.number) == item.text else item.text
        yield {"number": item.number, "name": words.known(f"item.{item.number}", item.name), "text": text}


def told(text: str, words: Words) -> str:
    """What a program wrote, sentence by sentence; a sentence that the catalogue does not hold as it is.

    >>> told("None are allowed.", Words("zh")), told("None are allowed.", Words("en"))
    ('不允许缺失。', 'None are allowed.')
    """
    if words.language == "en" or len(text) > _LONGEST:
        return text
    text = _BLANK.sub(lambda blank: words.sentence(blank[0]), text)
    body, end = (text[:-1], ".") if text.endswith(".") else (text, "")
    parts = _BETWEEN.split(body)
    said = [_sentence(part, words) for part in parts[::2]]
    if any(one == part for one, part in zip(said, parts[::2], strict=True)) and (whole := _sentence(body, words)) != body:
        return whole + _STOPS[end]
    if said == parts[::2]:
        return text
    return "".join(part + _STOPS[stop] for part, stop in zip(said, [*parts[1::2], end], strict=True))


def _sentence(text: str, words: Words) -> str:
    if len(text) > _LONGEST_PART:
        return text
    if match := _EVENTS.fullmatch(text):
        site, patients, records, finding = match.groups()
        return words("told.events", site=site, patients=patients, records=records, finding=words.sentence(finding))
    if match := _FIGURE.fullmatch(text):
        site, metric, value, low, high = match.groups()
        figure = {"metric": metric, "value": value, "low": low, "high": high}
        return words("told.site_figure", site=site, **figure) if site else words("told.figure", **figure)
    return words.sentence(text)


def group_name(group: SubgroupRecord, words: Words) -> str:
    """What divides the cases, and which part of them it is. Names of a study's own columns and codes stay as they are."""
    column = group.column.casefold()
    name = words.known(f"group.{column}_{group.group.casefold()}", group.group)
    if ends := _RANGE.fullmatch(group.group):
        name = words("group.range", low=ends[1], high=ends[2])
    return words("group.line", column=words.known(f"group.{column}", words.sentence(group.column)), group=name)
