"""What every source promises, whatever its format. A test class inherits it and says how to write a case down."""

import json
import os
import random
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wardround.sources import prepare
from wardround.sources.opening import FileSource, open_source
from wardround.sources.readiness.rendering import render
from wardround.study.contract import DataContract, PatientContract, SplitsContract
from wardround.values.errors import DataError
from wardround.values.records import Records


@dataclass(frozen=True)
class Item:
    """One record to be written: its content is drawn from `number`."""

    number: int
    patient: str
    label: str
    split: str = ""

    def image(self) -> np.ndarray:
        """(16, 16) uint8, different for each number."""
        return np.random.default_rng(self.number).integers(0, 256, (16, 16), dtype=np.uint8)


def case(patients: int = 30) -> list[Item]:
    """Two records a patient, the labels mixed."""
    return [Item(2 * p + k, f"Mustermann-{p:03d}", str((p + k) % 2)) for p in range(patients) for k in range(2)]


def same(left: Records, right: Records) -> bool:
    pairs = (
        (left.inputs, right.inputs),
        (left.labels, right.labels),
        (left.patients, right.patients),
        (left.splits, right.splits),
    )
    return all(np.array_equal(a, b) for a, b in pairs)


def damaged(content: bytes, rng: random.Random) -> bytes:
    """One of: cut short, a few bytes changed, a stretch replaced."""
    at = rng.randrange(len(content))
    kind = rng.randrange(3)
    if kind == 0:
        return content[:at]
    if kind == 1:
        return content[:at] + bytes([content[at] ^ 0x55]) + content[at + 1 :]
    return content[:at] + rng.randbytes(rng.randrange(30)) + content[at + rng.randrange(30) :]


def loads(source: FileSource) -> bool:
    """Whether the records can be had for a run."""
    try:
        source.load()
    except DataError:
        return False
    return True


class SourceConformance:
    """Inherit, and give `contract` and `write`, which puts items into `folder` in that order and returns the path."""

    def contract(self) -> DataContract:
        raise NotImplementedError

    def write(self, folder: Path, items: list[Item]) -> Path:
        raise NotImplementedError

    def declared(self) -> DataContract:
        return self.contract().changed(splits=SplitsContract(declared=True))

    def test_the_order_of_files_or_rows_does_not_change_the_records(self, tmp_path: Path) -> None:
        """A copy of a folder may list its files in another order; the run must stay the same, bit for bit."""
        items = case()
        turned = random.Random(7).sample(items, len(items))
        first = open_source(self.write(tmp_path / "a", items), self.contract()).load()
        second = open_source(self.write(tmp_path / "b", turned), self.contract()).load()
        assert same(first, second)
        assert len(first) == len(items)

    def test_a_source_loads_equal_twice(self, tmp_path: Path) -> None:
        """A resumed run reads its data again."""
        source = open_source(self.write(tmp_path / "a", case()), self.contract())
        assert same(source.load(), source.load())

    def test_a_source_is_walked_and_unzipped_once_to_be_opened(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """On a network store each walk takes minutes; every reader that was asked made one of its own."""
        path = self.write(tmp_path / "a", case())
        walks, zips, walk, zip_file = [], [], os.walk, zipfile.ZipFile
        monkeypatch.setattr(os, "walk", lambda *parts, **more: walks.append(parts) or walk(*parts, **more))
        monkeypatch.setattr(zipfile, "ZipFile", lambda *parts, **more: zips.append(parts) or zip_file(*parts, **more))
        open_source(path, self.contract())
        assert (len(walks), len(zips)) == (path.is_dir(), zipfile.is_zipfile(path))

    def test_a_patient_is_in_one_split(self, tmp_path: Path) -> None:
        """Else the held-out figures would be figures on patients that were trained on."""
        records = open_source(self.write(tmp_path / "a", case()), self.contract()).load()
        pairs = set(zip(records.patients.tolist(), records.splits.tolist(), strict=True))
        assert len(pairs) == records.patient_count == 30
        assert {split for _, split in pairs} == {"train", "validation", "test"}

    def test_declared_splits_are_kept_and_a_lacking_validation_is_taken_from_train(self, tmp_path: Path) -> None:
        """A publisher's test split must stay what it was, or figures cannot be compared."""
        items = [replace(item, split="test" if item.number < 20 else "train") for item in case()]
        records = open_source(self.write(tmp_path / "a", items), self.declared()).load()
        assert np.sum(records.splits == "test") == 20
        assert np.sum(records.splits == "validation") > 0

    def test_a_patient_in_train_and_test_is_refused(self, tmp_path: Path) -> None:
        """A declared split that cuts through a patient is a mistake of the data, told and not mended silently."""
        items = [replace(item, split="test" if item.number % 2 else "train") for item in case()]
        source = open_source(self.write(tmp_path / "a", items), self.declared())
        with pytest.raises(DataError, match="more than one declared split"):
            source.load()
        assert not source.check().ready()

    def test_a_label_outside_the_contract_is_refused(self, tmp_path: Path) -> None:
        """A third value must never be guessed to be negative."""
        items = [*case(), Item(999, "Mustermann-999", "7")]
        source = open_source(self.write(tmp_path / "a", items), self.contract())
        with pytest.raises(DataError, match="outside the contract"):
            source.load()
        assert "label-outside" in {finding.code for finding in source.check().findings}

    def test_errors_and_reports_name_no_patient(self, tmp_path: Path) -> None:
        """What may be sent on is copied into mails; a patient's name may not be in it."""
        items = [*case(), Item(999, "Mustermann-999", "7")]
        source = open_source(self.write(tmp_path / "a", items), self.contract())
        with pytest.raises(DataError) as caught:
            source.load()
        assert str(tmp_path) not in json.dumps(source.check().to_json())
        told = f"{caught.value} {source.check().to_json()} {render(source.check(), where=False)}"
        assert "mustermann" not in told.lower()
        assert not any(item.patient in told for item in items)

    def test_one_class_only_is_a_warning(self, tmp_path: Path) -> None:
        """A hospital that treats only the ill may still take part."""
        items = [replace(item, label="1") for item in case()]
        source = open_source(self.write(tmp_path / "a", items), self.contract())
        assert source.check().ready()
        assert "one-class" in {finding.code for finding in source.check().findings}
        assert source.load().labels.min() == 1

    def test_one_patient_is_too_few(self, tmp_path: Path) -> None:
        """An update from one patient says much about that patient."""
        source = open_source(self.write(tmp_path / "a", case(1)), self.contract())
        with pytest.raises(DataError, match="too few patients"):
            source.load()
        assert not source.check().ready()

    def test_words_that_name_nobody_are_no_patient(self, tmp_path: Path) -> None:
        """Twenty records of "NA" are twenty unknown people: as one patient they would share a split and half the privacy."""
        items = [replace(item, patient="NA") if item.number % 3 == 0 else item for item in case()]
        source = open_source(self.write(tmp_path / "a", items), self.contract())
        assert source.load().patient_count == 20 + len({item.patient for item in items} - {"NA"})
        finding = next(finding for finding in source.check().findings if finding.code == "patient-absent")
        assert finding.level == "warning" and len(finding.places) == 20
        strict = self.contract().changed(patient=PatientContract(required=True))
        refusing = open_source(self.write(tmp_path / "b", items), strict)
        assert not refusing.check().ready()
        with pytest.raises(DataError, match="which patient a record belongs to"):
            refusing.load()

    def test_one_patient_written_in_two_ways_is_told_and_in_a_private_study_refused(self, tmp_path: Path) -> None:
        """p7 in train and P7 in test is one person on both sides, with half the privacy that was promised."""
        items = [replace(item, patient=item.patient.upper()) if item.number % 2 else item for item in case()]
        path = self.write(tmp_path / "a", items)
        source, private = (open_source(path, self.contract(), private=promise) for promise in (False, True))
        finding = next(finding for finding in source.check().findings if finding.code == "patient-spellings")
        assert finding.level == "warning" and len(finding.places) == 60
        assert source.load().patient_count == 60
        assert not private.check().ready()
        with pytest.raises(DataError, match="differ only by case"):
            private.load()

    def test_damaged_bytes_are_refused_in_words(self, tmp_path: Path) -> None:
        """Cut, flipped and spliced files: never a traceback nor a patient's name, and what is READY is what a run can load."""
        rng = random.Random(11)
        path = self.write(tmp_path / "a", case(6))
        source_files = sorted(file for file in (tmp_path / "a").rglob("*") if file.is_file())
        for _ in range(25):
            file = rng.choice(source_files)
            whole = file.read_bytes()
            file.write_bytes(damaged(whole, rng))
            try:
                source = open_source(path, self.contract())
                report = source.check()
                assert report.ready() is loads(source), report.findings
                assert "Mustermann" not in json.dumps(report.to_json())
            except DataError as error:
                assert "Mustermann" not in str(error)
            file.write_bytes(whole)

    def test_a_good_source_is_ready(self, tmp_path: Path) -> None:
        """The report may not cry wolf."""
        report = open_source(self.write(tmp_path / "a", case()), self.contract()).check()
        assert report.ready(), report.findings
        assert report.exit_code == 0

    def write_unlabelled(self, folder: Path, items: list[Item]) -> Path:
        """The same items as a source that holds no label at all."""
        raise NotImplementedError

    def source_order(self, items: list[Item]) -> list[Item]:
        """The items in the order in which the source holds them: as written, unless it orders them itself."""
        return items

    def raw_records(self, path: Path) -> list[Any]:
        """What `prepare` gets for each record, in the order of the source; none where a source holds nothing raw."""
        raise NotImplementedError

    def test_a_source_without_labels_can_be_answered_and_not_learned_from(self, tmp_path: Path) -> None:
        """A model is asked about patients whose outcome nobody knows; a training run must never take them for negative."""
        source = open_source(self.write_unlabelled(tmp_path / "a", case()), self.contract())
        records = source.named()
        assert len(records) == 60 and not records.labelled.any()
        with pytest.raises(DataError):
            source.load()

    def test_records_for_a_model_keep_the_order_and_the_names_of_the_source(self, tmp_path: Path) -> None:
        """An answer that stands beside another patient is worse than none."""
        items = random.Random(3).sample(case(), 60)
        path = self.write(tmp_path / "a", items)
        records = open_source(path, self.contract()).named()
        assert len(set(records.names.tolist())) == 60
        assert [str(label) for label in records.labels.tolist()] == [item.label for item in self.source_order(items)]
        assert records.labelled.all()
        again = [prepare(self.contract(), record) for record in self.raw_records(path)]
        assert not again or np.array_equal(np.stack(again), records.inputs)

    def test_records_for_a_model_are_those_that_were_learned_from(self, tmp_path: Path) -> None:
        """A model that meets other numbers than it was trained on gives other answers, and nobody sees why."""
        source = open_source(self.write(tmp_path / "a", case()), self.contract())
        named, learned = source.named(), source.load()
        assert sorted(row.tobytes() for row in named.inputs) == sorted(row.tobytes() for row in learned.inputs)
        assert sorted(named.patients.tolist()) == sorted(learned.patients.tolist())
