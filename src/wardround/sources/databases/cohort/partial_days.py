"""Days of which a part is not known. A birth gets the middle of what is left; of an event, an unknown day stays unknown."""

import polars as pl

FIRST_GUESS = "Births without a day or month count as the 15th of the month, or 1 July of the year"
IMPOSSIBLE_BIRTH = "Births are on no day of the calendar, so that the age is not known"

MIDDLE_MONTH, MIDDLE_DAY = 7, 15


def birth_day(year: pl.Expr, month: pl.Expr, day: pl.Expr) -> pl.Expr:
    """The day of a birth: of a month without a day the 15th, of a year without a month 1 July; None without a year.

    What is no day of the calendar counts as none.
    """
    with_month = month.is_not_null()
    day = pl.when(with_month).then(day.fill_null(MIDDLE_DAY)).otherwise(1)
    text = pl.format(
        "{}-{}-{}",
        year.cast(pl.String).str.zfill(4),
        month.fill_null(MIDDLE_MONTH).cast(pl.String).str.zfill(2),
        day.cast(pl.String).str.zfill(2),
    )
    return text.str.to_date("%Y-%m-%d", strict=False)
