"""The data contract: what the data of every hospital must look like, agreed before any record is read.

It is the `[data]` section of a study. It decides, from public words alone, how a file becomes records: the size images are
brought to, which values of the label mean what, how a column is scaled and which codes mean "missing". No figure in it is
computed from data, so that no statistic of a hospital leaves it through the preparation:

    file --reader--> values --contract--> inputs, labels, patients --hash of the patient--> train | validation | test
"""

import math
from typing import Literal, Self

from pydantic import Field, model_validator

from wardround.study.cell_values import Case, Value, codes, named_twice, spelled, text_key
from wardround.study.label import LabelContract
from wardround.study.sections.cohort import CohortSection
from wardround.study.sections.molecule import MoleculeContract
from wardround.study.sections.section import Section

Kind = Literal["image", "table", "molecule"]
OTHER = "other"
"""What the category of all other texts is called."""

__all__ = [
    "ColumnContract",
    "DataContract",
    "ImageContract",
    "Kind",
    "LabelContract",
    "MoleculeContract",
    "PatientContract",
    "SiteContract",
    "SplitsContract",
    "Value",
]


class ImageContract(Section):
    """Images: the size the network sees, and which files are accepted."""

    size: tuple[int, int] = Field(default=(64, 64), description="Height and width in pixels; sources resize to it.")
    channels: Literal[1, 3] = Field(default=1, description="1 for grey images, 3 for colour.")
    accepted_bits: tuple[Literal[8, 16], ...] = Field(
        default=(8, 16), min_length=1, description="Bits per pixel that files may have."
    )
    kept_bits: Literal[8, 16] = Field(default=8, description="Bits per pixel kept in memory after reading.")
    white_16: int = Field(
        default=65535,
        ge=256,
        le=65535,
        description="Pixel value that means white in 16-bit files: 4095 for detectors of 12 bits.",
    )
    window: tuple[float, float] | None = Field(
        default=None,
        description="Values that mean black and white in NIfTI slices and in TIFF of fractions, for example [-1000, 400] in HU.",
    )
    fit: Literal["stretch", "pad"] = Field(
        default="stretch",
        description="How another aspect ratio is brought to `size`: stretch, or pad with black to keep the ratio.",
    )

    modalities: tuple[str, ...] = Field(
        default=(),
        description='Modalities that DICOM files may have, for example ["CR", "DX"]; empty means any. Other images name none.',
    )

    @model_validator(mode="after")
    def _sizes_are_usable(self) -> Self:
        if not all(8 <= side <= 4096 for side in self.size):
            raise ValueError(f"size is height and width, each from 8 to 4096 pixels; found {list(self.size)}")
        if self.window is not None and not 0 < self.window[1] - self.window[0] < math.inf:
            raise ValueError(f"window is the value of black and then that of white, above it; found {list(self.window)}")
        if wrong := [word for word in self.modalities if not (word.isalnum() and word.isupper() and len(word) <= 16)]:
            raise ValueError(f"modalities are DICOM's codes in capitals, such as CR, DX or CT; found {wrong}")
        return self


class PatientContract(Section):
    """The unit that splits and privacy are counted in."""

    column: str = Field(
        default="patient",
        min_length=1,
        description="The column or array that names the patient. Where a source has none, each record counts as one.",
    )
    required: bool = Field(default=False, description="Refuse a source that does not say which patient a record belongs to.")


class SiteContract(Section):
    """Which hospital a record comes from, where one file holds several."""

    column: str = Field(default="site", min_length=1, description="The column or array that names the hospital.")


class ColumnContract(Section):
    """One column of a table, its unit and its public scaling constants.

    A number x becomes (x - center) / scale. A missing value becomes 0 after scaling, and where missing values are allowed the
    network also gets an indicator, 1 where the value was missing.
    """

    name: str = Field(
        min_length=1,
        description="The column's name in the file. names = [...] in its place declares several columns with one rule.",
    )
    kind: Literal["number", "category", "binary"] = Field(
        default="number", description="number, category (one-hot), or binary (0 or 1)."
    )
    unit: str = Field(default="", description="The unit the numbers are in, for example mg/dl.")
    range: tuple[float, float] | None = Field(default=None, description="Smallest and largest plausible value, in the unit.")
    outside: Literal["refuse", "missing", "clip"] = Field(
        default="refuse", description="What a number outside the range means: refuse, count as missing, or move to the bound."
    )
    missing: tuple[Value, ...] = Field(
        default=("", "?", "NA", "NaN", "null"),
        description='Codes that mean "missing", for example ["?", -9]. An empty cell always does.',
    )
    left_out: tuple[Value, ...] = Field(
        default=(), description="Codes for which the whole record is left out, for example ['?']."
    )
    max_missing: float = Field(
        default=0.0,
        ge=0.0,
        le=1.0,
        description="Largest share of missing values at a hospital, 0 to 1. Above 0 adds an indicator.",
    )
    categories: tuple[str | int, ...] = Field(
        default=(), description="Accepted values of a category, or the two of a binary (no, yes)."
    )
    case: Case = Field(
        default="ignore",
        description="Whether codes and categories written as text compare without case (ignore) or as written (exact).",
    )
    other: bool = Field(
        default=False,
        description="For a category: any other text is one more category, called other; unless said, it is refused.",
    )
    log: bool = Field(
        default=False,
        description="For numbers above 0: the natural logarithm is taken first, and center and scale are of the logarithm.",
    )
    center: float | None = Field(default=None, description="Subtracted from a number; unless said, the middle of the range.")
    scale: float | None = Field(
        default=None,
        gt=0.0,
        description="A number is divided by it; unless said, a quarter of the range. Never computed from data.",
    )

    @model_validator(mode="after")
    def _kind_has_what_it_needs(self) -> Self:
        if self.range is not None and not self.range[0] < self.range[1]:
            raise ValueError(f"column {self.name!r}: the range needs its smaller bound first; found {list(self.range)}")
        if self.kind == "number" and self.range is None and (self.center is None or self.scale is None):
            raise ValueError(f"column {self.name!r}: a number needs a range, or both center and scale")
        if self.kind == "number" and self.categories:
            raise ValueError(f"column {self.name!r}: a number has no categories")
        if self.kind == "category" and len(self.categories) < 2:
            raise ValueError(f"column {self.name!r}: a category needs at least two categories")
        if self.kind == "binary" and len(self.categories) not in (0, 2):
            raise ValueError(f"column {self.name!r}: a binary has two categories (no, yes) or none, which means 0 and 1")
        if self.kind != "number" and (self.range or self.center is not None or self.scale is not None):
            raise ValueError(f"column {self.name!r}: range, center and scale are for numbers")
        if named_twice(self.categories, self.case):
            raise ValueError(f"column {self.name!r}: a category is named twice")
        if both := [v for v in self.categories if spelled(v) in codes(self.missing, self.case)]:
            raise ValueError(
                f"column {self.name!r}: {both[0]!r} is a category and a code for missing; write missing = [...] without it"
            )
        if self.other and (self.kind != "category" or any(text_key(spelled(v)) == OTHER for v in self.categories)):
            raise ValueError(f"column {self.name!r}: other is for a category, and then no category is called other")
        if self.log and (self.kind != "number" or (self.range is not None and self.range[0] <= 0)):
            raise ValueError(f"column {self.name!r}: log is for numbers, and then the range begins above 0")
        return self

    @property
    def codes(self) -> tuple[str, ...]:
        """The accepted values of a category or binary, as the contract spells them."""
        return (*(spelled(v) for v in (self.categories or (0, 1))), *((OTHER,) if self.other else ()))

    @property
    def constants(self) -> tuple[float, float]:
        """center and scale of a number, or of its logarithm."""
        low, high = self.range or (0.0, 0.0)
        if self.log and self.range is not None:
            low, high = math.log(low), math.log(high)
        center = (low + high) / 2 if self.center is None else self.center
        return center, (high - low) / 4 if self.scale is None else self.scale

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the prepared features, in the order the network gets them."""
        names = [f"{self.name}={code}" for code in self.codes] if self.kind == "category" else [self.name]
        return (*names, f"{self.name} missing") if self.max_missing > 0 else tuple(names)


class SplitsContract(Section):
    """How patients are divided into train, validation and test: by a hash of the patient, so that a patient is in one split
    only, stays there as the data grow, and every hospital divides alike without talking."""

    declared: bool = Field(
        default=False, description="Honour the splits the source declares; a validation split it lacks is taken from train."
    )
    validation: float = Field(default=0.15, ge=0.0, le=1.0, description="Share of the patients used to choose settings, 0 to 1.")
    test: float = Field(
        default=0.15,
        ge=0.0,
        le=1.0,
        description="Share of the patients held out for the final figures, 0 to 1; all of them only with evaluation.model.",
    )
    salt: str = Field(default="wardround", description="Public word mixed into the hash; another word gives another division.")
    minimum_patients: int = Field(default=5, ge=1, description="Fewest patients a hospital needs to take part.")

    @model_validator(mode="after")
    def _shares_are_of_one_whole(self) -> Self:
        if self.validation + self.test > 1.0:
            raise ValueError(f"validation and test take {self.validation + self.test:g} of the patients; leave some to train on")
        return self

    @property
    def leaves_training(self) -> bool:
        """Whether patients are left to train on. Only a study that trains nothing may have none."""
        return self.validation + self.test < 1.0


class DataContract(Section):
    """What the data of every hospital must look like."""

    kind: Kind = Field(description="image, table or molecule.")
    dataset: str | None = Field(default=None, description="A public data set by its name in `wardround data list`.")
    image: ImageContract = Field(default=ImageContract(), description="For images: size, channels, bits.")
    molecule: MoleculeContract | None = Field(
        default=None, description="For molecules: the column with SMILES, the fingerprint, the folds."
    )
    label: LabelContract = Field(default=LabelContract(), description="What is predicted.")
    patient: PatientContract = Field(default=PatientContract(), description="Which patient a record belongs to.")
    site: SiteContract = Field(default=SiteContract(), description="Which hospital a record comes from.")
    columns: tuple[ColumnContract, ...] = Field(
        default=(), description="For tables: the columns used, in order. Others are never read."
    )
    header: tuple[str, ...] = Field(
        default=(), description="For tables without a header line: all columns of the file, in order."
    )
    cohort: CohortSection | None = Field(
        default=None, description="How the columns and the label come out of a database or a FHIR export."
    )
    splits: SplitsContract = Field(default=SplitsContract(), description="Train, validation and test.")

    @model_validator(mode="after")
    def _kind_has_its_parts(self) -> Self:
        names = [column.name for column in self.columns]
        if self.kind == "table" and not names:
            raise ValueError("a table contract needs at least one [[data.columns]]")
        if self.kind == "image" and (names or self.header):
            raise ValueError("an image contract has no columns and no header")
        if (wrong := self._wrong_of_molecules()) is not None:
            raise ValueError(wrong)
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"columns are named twice: {', '.join(twice)}")
        header = [name.strip().casefold() for name in self.header]
        if twice := sorted({name for name in header if header.count(name) > 1}):
            raise ValueError(f"the header names a column twice: {', '.join(twice)}")
        if seen := [name for name in self.label.columns if name in names]:
            raise ValueError(f"the label {seen[0]!r} may not be one of the columns the network sees")
        if self.header and (absent := sorted({*names, *self._smiles, *self.label.columns} - set(self.header))):
            raise ValueError(f"the header does not name {', '.join(absent)}")
        return self

    def _wrong_of_molecules(self) -> str | None:
        """What a contract of molecules has too much, in words; None of a sound one."""
        if self.kind != "molecule":
            return None if self.molecule is None else f'[data.molecule] does nothing with kind = "{self.kind}": leave it out'
        if self.columns:
            return "a molecule's numbers are made of its SMILES: leave [[data.columns]] out"
        if self.patient != PatientContract():
            return "the compound is the patient of a molecule, by its structure: leave [data.patient] out"
        if self._smiles[0] in self.label.columns:
            return f"the label {self._smiles[0]!r} may not be the column of the SMILES"
        return None

    @property
    def _smiles(self) -> tuple[str, ...]:
        """The column of the SMILES, of molecules."""
        return (self.molecule_rules.column,) if self.kind == "molecule" else ()

    @property
    def molecule_rules(self) -> MoleculeContract:
        """How molecules become numbers."""
        return self.molecule or MoleculeContract()

    @property
    def row_type(self) -> Literal["uint8", "float32"]:
        """Of the prepared numbers of a table's row or of a molecule, whose fingerprint takes a byte for each."""
        return "uint8" if self.kind == "molecule" and not self.molecule_rules.descriptors else "float32"

    @property
    def read_columns(self) -> tuple[str, ...]:
        """The columns of a table that records are made of, without the label."""
        return (*(column.name for column in self.columns), *self._smiles)

    @model_validator(mode="after")
    def _cohort_fills_the_columns(self) -> Self:
        if self.cohort is None:
            return self
        filled, names = [feature.column for feature in self.cohort.features], [column.name for column in self.columns]
        if self.kind != "table":
            raise ValueError('a cohort is a table: write kind = "table"')
        if sorted(filled) != sorted(names):
            raise ValueError(
                f"each column is filled by one feature of [data.cohort]: columns are {', '.join(sorted(names))}; features fill "
                f"{', '.join(sorted(filled))}"
            )
        if self.patient.column in (*names, self.label.column):
            raise ValueError(f"the cohort fills {self.patient.column!r} with the person: call the column or the label otherwise")
        if self.label.kind != "binary" or self.label.judge(1) != 1 or self.label.judge(0) != 0:
            raise ValueError("a cohort's outcome is 1 or 0: leave the values of both sides under [data.label] out")
        return self

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Prepared features of a table in order; empty for images and molecules."""
        return tuple(name for column in self.columns for name in column.features)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one network input: (channels, height, width) for images, (features,) for tables and molecules."""
        if self.kind == "image":
            return (self.image.channels, *self.image.size)
        if self.kind == "molecule":
            return (self.molecule_rules.length,)
        return (len(self.feature_names),)
