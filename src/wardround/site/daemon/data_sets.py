"""The data sets that a hospital has registered: where they lie, how they are mapped, which ledger their patients have.

    wardround site data add NAME PATH --mapping FILE  -->  data.toml  -->  a person approves a study for one of them

Only names are ever spoken of; no path leaves the hospital.
"""

from dataclasses import asdict, dataclass
from pathlib import Path

import tomli_w
from pydantic import Field

from wardround.study.sections.section import Section
from wardround.study.sections.site_name import SiteName
from wardround.study.toml_reading import read_as
from wardround.values.address import is_address, is_other_address, other_address, sqlite_path, without_password
from wardround.values.durable import write_atomic
from wardround.values.errors import DataError, StudyError
from wardround.values.private_files import read_private

_LONGEST = 1 << 20


class DataSet(Section):
    """One data set of the hospital. ledger: of its patients, by name: data sets of the same patients share one."""

    data: str = Field(description="The file or folder, absolute, or the address of a database.")
    mapping: str | None = Field(default=None, description="The hospital's mapping of its table, absolute.")
    task: str | None = Field(
        default=None, description="The hospital's own task, absolute, for studies that leave the question to each hospital."
    )
    ledger: SiteName = Field(description="Name of the privacy ledger of these patients.")
    synthetic: bool = Field(default=False, description="Whether its records were generated: of no patient.")


class DataFile(Section):
    """data.toml: every registered data set by its name."""

    sets: dict[SiteName, DataSet] = Field(default_factory=dict, description="Name -> data set.")


@dataclass(frozen=True)
class DataSets:
    """The registered data sets, read anew each time and replaced whole."""

    path: Path

    def all(self) -> dict[str, DataSet]:
        """Every data set by its name. StudyError where the file is not sound."""
        content = read_private(self.path, _LONGEST)
        if content is None:
            return {}
        return dict(read_as(DataFile, content.decode("utf-8", "replace"), str(self.path)).sets)

    def get(self, name: str) -> DataSet:
        """The data set of that name. DataError where there is none."""
        sets = self.all()
        if name not in sets:
            raise DataError(
                f"No data set of the name {name} is registered",
                expected=", ".join(sorted(sets)) or "one that was added",
                hint="wardround site data add NAME PATH",
            )
        return sets[name]

    def add(
        self,
        name: str,
        data: str,
        *,
        mapping: Path | None,
        ledger: str | None,
        replace: bool = False,
        synthetic: bool = False,
        task: Path | None = None,
    ) -> DataSet:
        """Registers a data set. Nothing of it is read but whether it is there: what is in it depends on the study."""
        sets = self.all()
        if name in sets and not replace:
            raise DataError(f"A data set {name} is registered already", hint="choose another name, or add it with --replace")
        own_task = None if task is None else str(_file(task, "a task (wardround study new FILE --kind task)"))
        kept = None if mapping is None else str(_file(mapping))
        one = _checked(name, DataSetNamed(_absolute(data), kept, own_task, ledger or name, synthetic))
        self._write({**sets, name: one})
        return one

    def remove(self, name: str) -> None:
        """Forgets where a data set lies. Its files and its ledger stay."""
        self.get(name)
        self._write({key: one for key, one in self.all().items() if key != name})

    def _write(self, sets: dict[str, DataSet]) -> None:
        content = DataFile(sets=sets).model_dump(mode="json", exclude_none=True, exclude_defaults=True)
        write_atomic(self.path, tomli_w.dumps(content).encode(), private=True)


@dataclass(frozen=True)
class DataSetNamed:
    """What was said of a data set, unchecked."""

    data: str
    mapping: str | None
    task: str | None
    ledger: str
    synthetic: bool


def _checked(name: str, said: DataSetNamed) -> DataSet:
    try:
        return DataFile(sets={name: DataSet(**asdict(said))}).sets[name]
    except ValueError as error:
        raise StudyError(
            "A data set or ledger cannot have this name",
            expected="1 to 63 letters, digits, '_' or '-', starting with a letter or digit",
            found=f"{name!r}, {said.ledger!r}"[:200],
            hint="choose short names such as radiology-2025",
        ) from error


def _absolute(data: str) -> str:
    file = sqlite_path(data)
    if file is None and is_address(data):
        return without_password(data, "this hospital's list of data sets")
    if is_other_address(data) and not Path(data).exists():
        raise other_address()
    return str(_existing(file or Path(data)))


def _existing(path: Path) -> Path:
    resolved = path.expanduser().resolve()
    if not resolved.exists():
        raise DataError(f"There is nothing at {resolved}", hint="check the path")
    return resolved


def _file(path: Path, kind: str = "a mapping (wardround data map)") -> Path:
    resolved = _existing(path)
    if not resolved.is_file():
        raise DataError(f"{resolved} is no file", expected=kind, hint="name the file itself")
    return resolved
