from pathlib import Path

import pytest

from tutelage import data
from tutelage.data import (
    Arrays,
    Cifar10,
    Hapt,
    ImageFolder,
    Pamap2,
    SyntheticImages,
    SyntheticWearable,
)
from tutelage.data.loader import Loader
from tutelage.errors import UserError


@pytest.mark.parametrize("name", data.__all__)
def test_every_loader_is_one_with_one_face(name):
    kind = getattr(data, name)
    assert issubclass(kind, Loader)
    assert "load" not in vars(kind)  # one face for all


def test_published_sets_have_a_folder_each_in_the_data_cache():
    loaders = [
        getattr(data, name)
        for name in data.__all__
        if name not in ("Arrays", "ImageFolder", "GeneActiv", "Recordings")  # files of the user
    ]
    names = [kind().cache_name for kind in loaders]
    assert len(set(names)) == len(names)
    assert {"hapt", "cifar10", "oxford_pets", "tinyimagenet"} <= set(names)
    assert (
        ImageFolder("x", name="../mine").cache_name == "imagefolder"
    )  # not what the user calls it


@pytest.mark.parametrize(
    ("kind", "arguments", "sentence"),
    [
        (Hapt, {"window": 0}, "Hapt.window: found 0, allowed are 1 or more"),
        (Hapt, {"stride": 0}, "Hapt.stride: found 0, allowed are 1 or more"),
        (Pamap2, {"window": -2}, "Pamap2.window: found -2"),
        (
            Cifar10,
            {"labels": "fine"},
            "Cifar10.labels: found 'fine', allowed are classes, kinds, groups",
        ),
        (SyntheticWearable, {"like": "x"}, "SyntheticWearable.like: found 'x', allowed are hapt"),
        (
            SyntheticImages,
            {"test": 1.0},
            "SyntheticImages.test: found 1.0, allowed are 0 to below 1",
        ),
    ],
)
def test_arguments_are_refused_when_the_loader_is_made(kind, arguments, sentence):
    with pytest.raises(UserError, match=sentence):
        kind(**arguments)


def test_a_relative_folder_starts_at_the_working_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"Arrays.folder: found no folder 'x' \(looked for .*/x\)"):
        Arrays("x").load()


def test_a_folder_that_cannot_be_used_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"data cache .* cannot be used"):
        Cifar10().load(tmp_path / "file")


def test_progress_is_told_and_home_is_the_default(tmp_path, monkeypatch):
    seen = []
    loaded = SyntheticWearable(windows=2).load(tmp_path, lambda *told: seen.append(told))
    assert loaded.synthetic
    assert seen[-1][1] == 1.0
    monkeypatch.setenv("TUTELAGE_DATA", str(tmp_path / "here"))
    with pytest.raises(UserError, match=str(Path("here") / "pamap2")):
        Pamap2().load()
