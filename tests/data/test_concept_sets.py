"""Data sets whose samples carry annotated concepts."""

import shutil

import numpy as np
import pytest

from tutelage.data import Cifar10, Digits, SyntheticEvents, SyntheticScenes, cifar, store
from tutelage.data.hierarchy import as_concepts, grouped
from tutelage.data.leakage import scan
from tutelage.data.prepare import describe
from tutelage.data.scenes import AXES, COLOURS, EVENTS, SHAPES
from tutelage.data.splits import OfficialSplit, RandomSplit
from tutelage.errors import UserError


def test_groups_by_the_slow_way():
    rng = np.random.default_rng(0)
    names = ("a", "b", "c", "d", "e")
    groups = {"second": ("b", "e"), "first": ("d",), "rest": ("a", "c")}
    labels = rng.integers(0, 5, 40)
    found = grouped(labels, names, groups)
    for row, label in enumerate(labels):
        group = next(g for g, members in groups.items() if names[label] in members)
        assert found["class_names"][found["labels"][row]] == group
        assert found["concepts"]["global"][row].tolist() == [float(i == label) for i in range(5)]
    assert found["concept_names"] == {"global": names}
    assert found["labels"].dtype == np.int64
    assert as_concepts(labels, names)["concepts"]["global"].dtype == np.float32
    with pytest.raises(AssertionError):
        grouped(labels, names, {"one": ("a",)})


@pytest.fixture
def cifar_root(cifar_batches, write_cifar, tmp_path, monkeypatch):
    """Return a data cache with small batches that count as published."""
    import hashlib

    write_cifar(cifar_batches, tmp_path / "all")
    sums = [
        hashlib.md5(
            b"".join(bytes([label]) + x.tobytes() for x, label in zip(*batch, strict=True))
        ).hexdigest()
        for batch in cifar_batches
    ]
    monkeypatch.setattr(cifar, "CHECKSUMS", tuple(sums))
    (tmp_path / "cifar10").mkdir()
    shutil.copy(tmp_path / "all" / "cifar-10-binary.tar.gz", tmp_path / "cifar10")
    return tmp_path


@pytest.mark.parametrize("labels", ["kinds", "groups"])
def test_cifar10_as_groups_of_its_classes(cifar_root, labels):
    fine, found = Cifar10().load(cifar_root), Cifar10(labels=labels).load(cifar_root)
    np.testing.assert_array_equal(found.inputs, fine.inputs)
    assert found.concepts["global"].argmax(axis=1).tolist() == fine.labels.tolist()
    assert found.concept_names["global"] == fine.class_names
    assert not fine.concepts
    assert found.name == f"cifar10-{labels}"
    for label, name in zip(found.labels, fine.labels, strict=True):
        assert fine.class_names[name] in cifar.GROUPS[labels][found.class_names[label]]
    assert len({one.fingerprint for one in (fine, found)}) == 2
    members = [name for group in cifar.GROUPS[labels].values() for name in group]
    assert sorted(members) == sorted(cifar.CLASSES)


def test_cifar10_refuses_other_labels():
    with pytest.raises(
        UserError, match=r"Cifar10.labels: found 'coarse', allowed are classes, kinds"
    ):
        Cifar10(labels="coarse")


def test_digits_are_even_or_odd():
    digits, parity = Digits("digits").load(), Digits().load()
    assert len(parity) == 1797
    assert parity.inputs.shape == (1797, 3, 8, 8)
    np.testing.assert_array_equal(parity.labels, digits.labels % 2)
    assert parity.class_names == ("even", "odd")
    assert parity.concepts["global"].argmax(axis=1).tolist() == digits.labels.tolist()
    assert parity.concept_names["global"] == digits.class_names
    assert (digits.class_names[4], digits.concepts) == ("four", {})
    assert parity.inputs.max() == 255
    assert (parity.inputs == parity.inputs[:, :1]).all()
    large = Digits(size=32).load()
    np.testing.assert_array_equal(large.inputs[:, :, 1::4, 3::4], parity.inputs)
    assert scan(parity, RandomSplit().split(parity, 0)) == []
    for size in (4, 12):
        with pytest.raises(UserError, match=f"Digits.size: found {size}"):
            Digits(size=size)
    with pytest.raises(UserError, match=r"Digits.labels: found 'odd'"):
        Digits("odd")


def there(found, name, scope="global"):
    """Return where a concept is, [N, ...] bool."""
    return found.concepts[scope][..., found.concept_names[scope].index(name)] == 1


@pytest.mark.parametrize(
    ("loader", "kind", "trait", "kinds", "traits"),
    [
        (SyntheticScenes, "circle", "red", SHAPES, tuple(COLOURS)),
        (SyntheticEvents, "knock", "axis x", EVENTS, tuple(f"axis {axis}" for axis in AXES)),
    ],
)
def test_the_class_tells_two_concepts(loader, kind, trait, kinds, traits):
    found = loader(samples=50, scope="both").load()
    assert found.concept_names == {"global": kinds + traits, "spatial": kinds + traits}
    wanted = np.where(
        there(found, kind), np.where(there(found, trait), 0, 1), np.where(there(found, trait), 2, 3)
    )
    np.testing.assert_array_equal(found.labels, wanted)
    assert np.bincount(found.labels).tolist() == [50] * 4
    spatial = found.concepts["spatial"]
    axes = tuple(range(1, spatial.ndim - 1))
    np.testing.assert_array_equal(np.nanmax(spatial, axis=axes), found.concepts["global"])
    empty = np.isnan(spatial).all(axis=-1)
    assert (empty == np.isnan(spatial).any(axis=-1)).all()
    # in each annotated place lies one thing: one kind and one trait
    assert (spatial[~empty][:, : len(kinds)].sum(axis=1) == 1).all()
    assert (spatial[~empty][:, len(kinds) :].sum(axis=1) == 1).all()
    assert 0.5 < empty.mean() < 0.95
    assert found.synthetic
    assert "synthetic" in found.name
    assert all("synthetic" in name for name in found.class_names)
    assert scan(found, OfficialSplit(validation=0.2).split(found, 0)) == []
    alone = {scope: loader(samples=50, scope=scope).load() for scope in ("global", "spatial")}
    for scope, one in alone.items():
        assert list(one.concepts) == [scope]
        np.testing.assert_array_equal(one.concepts[scope], found.concepts[scope])
    assert alone["global"].fingerprint != found.fingerprint


def test_places_of_a_scene_show_what_is_annotated():
    found = SyntheticScenes(samples=40, noise=0.0, size=64).load()
    pixels = found.inputs.astype(float).reshape(-1, 3, 8, 8, 8, 8).transpose(0, 2, 4, 3, 5, 1)
    paint = pixels.max(axis=-1) - pixels.min(axis=-1) > 60  # the ground is grey
    covered = paint.mean(axis=(3, 4))
    empty = np.isnan(found.concepts["spatial"]).all(axis=-1)
    np.testing.assert_array_equal(covered >= 1 / 8, ~empty)
    colours = np.array(list(COLOURS.values()))
    for name in COLOURS:
        for sample, row, column in np.argwhere(there(found, name, "spatial"))[:30]:
            inside = pixels[sample, row, column][paint[sample, row, column]].mean(axis=0)
            nearest = np.abs(colours - inside).sum(axis=1).argmin()
            assert list(COLOURS)[nearest] == name


def test_a_finer_grid_of_the_same_scenes_has_the_same_parts():
    coarse, fine = (
        SyntheticScenes(samples=20, grid=4).load(),
        SyntheticScenes(samples=20, grid=16).load(),
    )
    np.testing.assert_array_equal(coarse.inputs, fine.inputs)
    assert fine.concepts["spatial"].shape == (80, 16, 16, 8)
    blocks = np.nan_to_num(fine.concepts["spatial"]).reshape(80, 4, 4, 4, 4, 8).max(axis=(2, 4))
    np.testing.assert_array_equal(blocks, np.nan_to_num(coarse.concepts["spatial"]))


def test_events_lie_where_they_are_annotated():
    found = SyntheticEvents(samples=40, noise=0.0).load()
    cells = found.inputs.reshape(-1, 3, 16, 8)
    moved = np.abs(cells - cells.min(axis=(2, 3), keepdims=True)).max(axis=3)  # [N, axis, place]
    spread = np.ptp(cells, axis=3) > 1e-4
    empty = np.isnan(found.concepts["spatial"]).all(axis=-1)
    for number, axis in enumerate(AXES):
        mine = there(found, f"axis {axis}", "spatial")
        step = there(found, "step", "spatial")  # a plateau: no spread inside a place
        np.testing.assert_array_equal(spread[:, number] & ~empty, mine & ~step)
        assert moved[:, number][mine & step].min() >= 0
    assert not (spread.any(axis=1) & empty).any()


@pytest.mark.parametrize("loader", [SyntheticScenes, SyntheticEvents])
def test_equal_seeds_give_equal_scenes_and_others_do_not(loader):
    one, same, other = (loader(samples=5, seed=seed).load() for seed in (1, 1, 2))
    assert one.fingerprint == same.fingerprint != other.fingerprint
    more = loader(samples=8, seed=1).load()
    np.testing.assert_array_equal(more.inputs[:5], one.inputs[:5])


@pytest.mark.parametrize(
    ("loader", "arguments", "match"),
    [
        (SyntheticScenes, {"samples": 0}, r"SyntheticScenes.samples: found 0"),
        (
            SyntheticScenes,
            {"size": 30},
            r"SyntheticScenes.size: found 30, allowed are multiples of 4",
        ),
        (
            SyntheticScenes,
            {"grid": 5},
            r"SyntheticScenes.grid: found 5, allowed are divisors of size",
        ),
        (SyntheticScenes, {"grid": 2}, r"SyntheticScenes.grid: found 2"),
        (SyntheticScenes, {"scope": "parts"}, r"SyntheticScenes.scope: found 'parts'"),
        (SyntheticScenes, {"test": 1.0}, r"SyntheticScenes.test: found 1.0"),
        (
            SyntheticEvents,
            {"window": 100},
            r"SyntheticEvents.window: found 100, allowed are multiples of 8",
        ),
        (SyntheticEvents, {"grid": 4}, r"SyntheticEvents.grid: found 4"),
    ],
)
def test_wrong_arguments_of_scenes_are_refused(loader, arguments, match):
    with pytest.raises(UserError, match=match):
        loader(**arguments).load()


def test_a_description_names_a_few_concepts():
    assert describe(Digits().load()).notes == (
        "10 annotated concepts, global: zero, one, two, three, four, ...",
    )
    notes = describe(SyntheticEvents(samples=2, scope="both").load()).notes
    assert notes[1:3] == (
        "7 annotated concepts, global: knock, swing, tremor, step, axis x, ...",
        "7 annotated concepts, spatial: knock, swing, tremor, step, axis x, ...",
    )


def test_stored_concepts_come_back(cifar_root):
    found = Cifar10(labels="kinds").load(cifar_root)
    assert isinstance(found.concepts["global"], np.memmap)
    assert store.open_saved(next((cifar_root / "cifar10").glob("cifar10-*"))).concepts.keys() == {
        "global"
    }
