"""The description of a study as an `Analysis`: one sum, and the tables that may be made of it."""

from collections.abc import Generator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from wardround.analysis.carrying import in_one_place, require_unclipped
from wardround.analysis.describe.associations import correlation_table, cross_tables, value_tables
from wardround.analysis.describe.sums import COUNTS, DescribeSums, sums_of
from wardround.analysis.describe.table_one import Groups, category_table, histograms, number_table, table_one
from wardround.analysis.protocol import Ask, Exchange, Total
from wardround.analysis.result import Result
from wardround.privacy.bounded_arrays import Arrays
from wardround.privacy.disclosure import shown_count
from wardround.study.declaration import Study
from wardround.values.rows import Rows


def build(study: Study) -> "Description":
    """The description that a checked study asks for."""
    return Description(study, sums_of(study))


@dataclass(frozen=True)
class Description:
    """Counts by group, histograms, two moments; nothing of a single row."""

    study: Study
    sums: DescribeSums

    @property
    def exchanges(self) -> tuple[Exchange, ...]:
        return self.sums.exchanges

    @property
    def columns(self) -> tuple[str, ...]:
        return self.sums.columns

    def contribution(self, rows: Rows, ask: Ask) -> Arrays:  # noqa: ARG002  (there is one sum)
        return self.sums.contribution(rows)

    def own_tables(self, rows: Rows) -> Mapping[str, Any]:
        """The same tables of one hospital's rows, with nothing withheld: it may look at its own patients."""
        open_to_itself = replace(self.sums, settings=self.sums.settings.changed(smallest_cell=1))
        result = in_one_place(Description(self.study, open_to_itself), {rows.hospital: rows})
        return {
            table.name: {"columns": [column.name for column in table.columns], "rows": [list(row) for row in table.rows]}
            for table in result.tables
        }

    def coordinate(self) -> Generator[Ask, Total, Result]:
        total = yield Ask(COUNTS)
        require_unclipped(total)
        groups = Groups.of(total, self.sums)
        tables = [table_one(total, self.sums, groups), number_table(total, self.sums, groups)]
        tables += [category_table(total, self.sums, groups), *correlation_table(total, self.sums)]
        tables += [*cross_tables(total, self.sums), *value_tables(total, self.sums)]
        charts = histograms(total, self.sums) if self.sums.section.histograms else ()
        smallest = self.sums.settings.smallest_cell
        counts = {
            "rows": shown_count(int(total["rows"].sum()), smallest),
            "patients": shown_count(int(total["patients"]), smallest),
        }
        figures = {"counts": counts, "bins": self.sums.section.bins}
        kept = tuple(table for table in tables if table.rows)
        figures |= {table.name: {"rows": [list(row) for row in table.rows]} for table in kept if table.name != "table_one"}
        return Result("describe", self.study.question.title, kept, charts, figures, _notes(self.sums))


def _notes(sums: DescribeSums) -> tuple[str, ...]:
    smallest = sums.settings.smallest_cell
    notes = [f"Median and quartiles are exact to one of {sums.section.bins} bins of the column's public range."]
    if smallest > 1:
        notes.append(f"Counts below {smallest} of all hospitals together, and what would give them away, are withheld.")
    return tuple(notes)
