"""The table of what t survives says what the rules say (docs/spec/masked-sum.md, 1.4 and 1.5)."""

import re
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "spec" / "masked-sum.md"


def smallest_threshold(n: int, c: int) -> int | None:
    """Rule 1.4, tried out from below rather than solved."""
    return next((t for t in range(1, n + 1) if 2 * t > n + c and t - c >= 2), None)


def cell(n: int, c: int) -> str:
    t = smallest_threshold(n, c)
    return "–" if t is None else f"{t}, {n - t}"


def test_the_table_of_thresholds_follows_from_the_rules() -> None:
    """Hospitals choose n and c by this table; a wrong cell costs them a run or a patient's privacy."""
    rows = re.findall(r"^\| (\d+) \|((?: [\d, –]+ \|){3} [\d, –]+ )\|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    table = {int(n): [x.strip() for x in cells.split("|")] for n, cells in rows}
    assert table == {n: [cell(n, c) for c in range(4)] for n in range(2, 11)}


def test_more_collusion_never_lowers_the_threshold() -> None:
    """And more than half of the sites are always needed, so that two sums cannot be opened side by side."""
    for n in range(2, 251):
        thresholds = [t for t in (smallest_threshold(n, c) for c in range(n)) if t is not None]
        assert thresholds == sorted(thresholds)
        assert 2 * thresholds[0] > n
