import inspect
import subprocess
import sys
import typing
from dataclasses import fields, is_dataclass

import numpy as np
import pytest

from tutelage import data
from tutelage.data import SyntheticImages
from tutelage.data import splits as split_module
from tutelage.data.prepare import describe


def test_describe_counts_classes_by_subject(build):
    dataset = build(
        labels=np.array([0, 0, 0, 1, 0, 0]),
        subjects=np.array(["S10", "S2", "S2", "S2", "S2", "S2"]),
    )
    found = describe(dataset)
    assert found.columns == ("class", "S2", "S10", "total", "share")
    assert found.rows == (("rest", 4, 1, 5, 5 / 6), ("walk", 1, 0, 1, 1 / 6))
    assert found.summary == dataset.summary()
    assert found.notes == (
        "unbalanced: the largest class has 5.0 times the samples of the smallest",
        "S10 lacks 1 of 2 classes",
        "walk: 1 sample only; some side of a split has none",
    )


def test_a_description_prints_every_count(build):
    dataset = build(
        labels=np.array([0, 0, 0, 1, 0, 0]),
        subjects=np.array(["S10", "S2", "S2", "S2", "S2", "S2"]),
    )
    lines = str(describe(dataset)).splitlines()
    assert lines[:10] == [
        "tiny: 6 windows of 2 x 8, 10 Hz, 2 subjects",
        "",
        "    class   total   share",
        "  0 rest       5  83.3 %",
        "  1 walk       1  16.7 %",
        "",
        "class      0      1",
        "S2         4      1",
        "S10        1      0",
        "",
    ]
    low, high = dataset.inputs.min(axis=(0, 2)), dataset.inputs.max(axis=(0, 2))
    assert lines[10:13] == [
        "channel        least     greatest",
        f"x       {low[0]:12.5g} {high[0]:12.5g}",
        f"y       {low[1]:12.5g} {high[1]:12.5g}",
    ]
    assert lines[14].startswith("note: unbalanced")
    assert lines[-1] == f"fingerprint: {dataset.fingerprint}"
    images = str(describe(SyntheticImages(classes=2, samples=10).load()))
    assert images.startswith("synthetic-images: 20 images of 3 x 32 x 32\n")


def notes_of(build, **parts):
    return " | ".join(describe(build(**parts)).notes)


def test_a_dead_channel_and_other_units_are_told(build):
    rng = np.random.default_rng(0)
    inputs = rng.uniform(-1, 1, (6, 2, 8)).astype(np.float32)
    assert "ranges" not in notes_of(build, inputs=inputs * np.float32([[1], [4]]))
    found = notes_of(build, inputs=inputs * np.float32([[1], [50]]))
    assert "ranges differ: y spans 9" in found
    assert "x 1.85;" in found
    inputs[:, 1] = 3
    assert "constant in all windows, as if the sensor was off: y" in notes_of(build, inputs=inputs)
    ranges = describe(build(inputs=inputs)).ranges
    assert ranges[1] == ("y", 3.0, 3.0)
    assert describe(SyntheticImages(classes=2, samples=3).load()).ranges == ()


def test_classes_that_are_too_few_are_told(build):
    count = 12
    parts = {
        "inputs": np.random.default_rng(0).normal(size=(count, 2, 8)).astype(np.float32),
        "subjects": np.repeat(["A", "B", "C", "D"], 3),
        "labels": np.array([0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0]),
    }
    assert "walk: 2 samples of 2 subjects only; with fewer than 3 it cannot" in notes_of(
        build, **parts
    )
    parts["labels"][[3, 9]] = 1
    assert "walk:" not in notes_of(build, **parts)


def test_labels_that_begin_at_one_are_told(build):
    assert "numbered from 1? Then class 0 is never learned" in notes_of(
        build, labels=np.ones(6, int)
    )


def test_describe_counts_official_parts_and_plain_samples(build):
    images = describe(SyntheticImages(classes=2, samples=10).load())
    assert images.columns == ("class", "train", "test", "total", "share")
    assert images.rows[0][1:] == (8, 2, 10, 0.5)
    assert images.notes == ("synthetic data: generated, no measurement",)
    plain = describe(build(subjects=None, labels=np.zeros(6, np.int64)))
    assert plain.rows == (("rest", 6, 6, 1.0), ("walk", 0, 0, 0.0))
    assert plain.notes == ("no samples of walk",)


@pytest.mark.parametrize(
    "kind",
    [getattr(data, name) for name in data.__all__]
    + [getattr(split_module, name) for name in split_module.__all__],
)
def test_everything_a_recipe_can_name_is_a_frozen_annotated_dataclass(kind):
    assert is_dataclass(kind)
    assert kind.__dataclass_params__.frozen
    hints = typing.get_type_hints(kind)
    for field in fields(kind):
        assert field.name in hints
    assert kind.__doc__
    # What a family of sets has in common is described once, in its base.
    described = "\n".join(base.__doc__ or "" for base in kind.__mro__)
    assert all(f"{field.name}:" in described for field in fields(kind))


@pytest.mark.parametrize("name", data.__all__)
def test_loaders_share_one_signature(name):
    signature = inspect.signature(getattr(data, name).load)
    assert list(signature.parameters) == ["self", "home", "progress"]


def test_importing_the_loaders_loads_no_heavy_package():
    code = (
        "import sys, tutelage.data, tutelage.data.splits, tutelage.data.prepare;"
        "print([n for n in ('torch', 'pandas', 'scipy', 'PIL', 'sklearn') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
