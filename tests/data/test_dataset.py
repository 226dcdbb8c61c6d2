import json

import numpy as np
import pytest

from tutelage.data import dataset as module
from tutelage.errors import UserError

N = 6
GOOD = {
    "recordings": np.zeros(N, np.int64),
    "starts": np.arange(N) * 4,
    "official_test": np.arange(N) > 3,
}

REFUSED = {
    "no modality": ({"modality": "sound"}, "modality: found 'sound'"),
    "float64": ({"inputs": np.zeros((N, 2, 8))}, "float64"),
    "two axes": ({"inputs": np.zeros((N, 8), np.float32)}, r"inputs: found \[6, 8\]"),
    "empty": ({"inputs": np.zeros((0, 2, 8), np.float32)}, "not empty"),
    "nan": (
        {"inputs": np.full((N, 2, 8), np.nan, np.float32)},
        "NaN in sample 0, channel 'x', time 0",
    ),
    "infinite": (
        {"inputs": np.full((N, 2, 8), np.inf, np.float32)},
        "an infinite value in sample 0",
    ),
    "few labels": ({"labels": np.zeros(5, np.int64)}, r"labels: found shape \[5\]"),
    "float labels": ({"labels": np.zeros(N)}, "labels: found type float64, allowed is int64"),
    "small labels": ({"labels": np.zeros(N, np.int32)}, "int32"),
    "high label": ({"labels": np.array([0, 1, 2, 0, 0, 0])}, "labels: found 2, allowed is 0 to 1"),
    "low label": ({"labels": np.array([0, 1, -2, 0, 0, 0])}, "labels: found -2, allowed is 0 to 1"),
    "no label": ({"labels": np.full(N, -1)}, "labels: found -1 everywhere"),
    "few subjects": ({"subjects": np.array(["a"])}, "subjects: found shape"),
    "number subjects": ({"subjects": np.arange(N)}, "subjects: found type int64"),
    "object subjects": ({"subjects": np.array(["a"] * N, object)}, "subjects: found type object"),
    "same class twice": ({"class_names": ("walk", "walk")}, "class_names"),
    "no class": ({"class_names": ()}, "class_names"),
    "few channels": ({"channel_names": ("x",)}, "channel_names: found 1 names, allowed is 2"),
    "window": ({"window": 9}, "window: found 9, allowed is 8"),
    "rate": ({"rate": 0.0}, "rate: found 0.0"),
    "starts alone": ({"starts": GOOD["starts"]}, "both or neither"),
    "test numbers": ({"official_test": np.arange(N)}, "official_test: found type int64"),
    "hidden synthetic": ({"synthetic": True}, "'synthetic' in the name"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refuses_what_does_not_fit_with_one_sentence(build, case):
    parts, sentence = REFUSED[case]
    with pytest.raises(UserError, match=sentence) as caught:
        build(**({"labels": np.zeros(N, np.int64)} | parts))
    assert "\n" not in str(caught.value)


def test_accepts_a_good_one(build):
    found = build(**GOOD)
    assert len(found) == N
    assert build(subjects=None, rate=None, window=None).subjects is None


def test_nan_in_the_last_block_is_found(build, monkeypatch):
    monkeypatch.setattr(module, "_CHUNK", 64)
    inputs = np.zeros((50, 2, 8), np.float32)
    inputs[49, 1, 7] = np.nan
    with pytest.raises(UserError, match="NaN"):
        build(inputs=inputs)


def test_images_are_rgb_bytes(build):
    parts = {"modality": "image", "window": None, "rate": None, "channel_names": ("r", "g", "b")}
    images = np.zeros((N, 3, 4, 5), np.uint8)
    assert build(inputs=images, **parts).modality == "image"
    for wrong in (images[:, :1], images.astype(np.float32), images[0]):
        with pytest.raises(UserError, match="inputs: found"):
            build(inputs=wrong, **parts)


def test_blocks_cover_the_array_once(monkeypatch):
    monkeypatch.setattr(module, "_CHUNK", 100)
    array = np.arange(70, dtype=np.int64).reshape(35, 2)
    parts = list(module.blocks(array))
    assert len(parts) == 6
    np.testing.assert_array_equal(np.concatenate(parts), array)


def test_fingerprint_is_the_same_from_disk_and_in_any_block_size(build, tmp_path, monkeypatch):
    one = build(**GOOD)
    np.save(tmp_path / "x.npy", one.inputs)
    mapped = build(**GOOD, inputs=np.load(tmp_path / "x.npy", mmap_mode="r"))
    assert mapped.fingerprint == one.fingerprint == build(**GOOD).fingerprint
    assert len(one.fingerprint) == 64
    monkeypatch.setattr(module, "_CHUNK", 64)
    assert build(**GOOD).fingerprint == one.fingerprint
    back = build(**GOOD, inputs=np.asfortranarray(one.inputs))
    assert back.fingerprint == one.fingerprint


def test_fingerprint_changes_with_every_part_but_the_source(build):
    def changed(name, place, value):
        array = getattr(build(**GOOD), name).copy()
        array[place] = value
        return {name: array}

    base = build(**GOOD).fingerprint
    variants = [
        {"name": "other"}, {"class_names": ("rest", "run")}, {"channel_names": ("x", "z")},
        {"rate": 11.0}, {"window": None}, changed("inputs", (5, 1, 7), 0.125),
        changed("labels", 5, 0), changed("subjects", 5, "S9"), changed("recordings", 5, 1),
        changed("starts", 5, 21), changed("official_test", 5, False), {"subjects": None},
        {"official_test": None}, {"name": "synthetic", "synthetic": True},
        {"recordings": None, "starts": None},
    ]  # fmt: skip
    found = [build(**{**GOOD, **variant}).fingerprint for variant in variants]
    assert len({base, *found}) == len(variants) + 1
    assert build(**GOOD, source="elsewhere").fingerprint == base
    wide = build(**GOOD).subjects.astype("<U40")
    assert build(**GOOD, subjects=wide).fingerprint == base


def test_fingerprint_is_computed_once(build, monkeypatch):
    one = build()
    first = one.fingerprint
    monkeypatch.setattr(module, "blocks", None)
    assert one.fingerprint is first


def test_units_say_what_the_same_numbers_are(build):
    named = build(units=("g", ""))
    assert named.fingerprint == build().fingerprint
    assert named.summary()["units"] == ["g", ""]
    assert "units" not in build().summary()
    with pytest.raises(UserError, match="units: found 1 units, allowed is 2, one per channel"):
        build(units=("g",))


def test_summary_is_json_and_counts(build):
    found = build(**GOOD, labels=np.array([0, 0, 0, 0, 0, 1])).summary()
    assert json.loads(json.dumps(found)) == found
    assert found["classes"] == {"rest": 5, "walk": 1}
    assert (found["samples"], found["subjects"], found["official_test"]) == (6, 3, 2)
    assert (found["shape"], found["rate"], found["window"]) == ([2, 8], 10.0, 8)
    assert (found["name"], found["modality"], found["synthetic"]) == ("tiny", "signal", False)
    assert found["fingerprint"] == build(**GOOD, labels=np.array([0, 0, 0, 0, 0, 1])).fingerprint
    assert build(subjects=None).summary()["subjects"] is None
