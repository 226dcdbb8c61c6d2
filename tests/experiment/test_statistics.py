"""Statistics of the training side: computed once, by however many workers, and read back exactly."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from tests.experiment.small import recipe
from tutelage.data import leakage
from tutelage.recipe.config import Recipe, parse
from tutelage.recipe.fold import Fold, load_data


def fold(cache):
    parsed = parse(Recipe, recipe(), "")
    return Fold.of(parsed, load_data(parsed, None, None), 0, cache)


def read(cache):
    data = fold(cache)
    values = data.samples(["signal"]).inputs["signal"]
    return [part.tolist() for part in data.statistics("signal", values)]


def test_they_are_those_of_the_training_side_and_are_read_back(tmp_path, monkeypatch):
    data = fold(tmp_path)
    values = data.samples(["signal"]).inputs["signal"]
    mean, std = data.statistics("signal", values)
    train = values[torch.from_numpy(data.split.train)].double()
    torch.testing.assert_close(mean, train.mean(dim=(0, 2)).float())
    torch.testing.assert_close(std, train.std(dim=(0, 2), correction=0).float())
    monkeypatch.setattr(Fold, "_statistics", lambda *_: 1 / 0)
    again = data.statistics("signal", values)
    assert torch.equal(again[0], mean)
    assert torch.equal(again[1], std)


@pytest.mark.parametrize("content", [b"", b"cut", None])
def test_damaged_statistics_are_computed_again(tmp_path, caplog, content):
    expected = read(tmp_path)
    (path,) = (tmp_path / "statistics").glob("*.safetensors")
    sound = path.read_bytes()
    path.write_bytes(sound[:-1] + bytes([sound[-1] ^ 1]) if content is None else content)
    assert read(tmp_path) == expected
    assert path.read_bytes() == sound
    assert [r.getMessage() for r in caplog.records] == [f"{path}: is damaged, and is made again"]


def test_a_damaged_mark_of_a_clean_split_is_made_again(tmp_path, caplog, monkeypatch):
    scans = []
    scan = leakage.scan
    monkeypatch.setattr(leakage, "scan", lambda *a: scans.append(a) or scan(*a))
    fold(tmp_path)
    fold(tmp_path)
    assert len(scans) == 1
    (mark,) = (path for path in (tmp_path / "clean").iterdir() if path.suffix != ".seal")
    mark.write_text("")
    fold(tmp_path)
    fold(tmp_path)
    assert len(scans) == 2
    assert [r.getMessage() for r in caplog.records] == [f"{mark}: is damaged, and is made again"]


def test_workers_that_come_together_do_not_disturb_each_other(tmp_path):
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(read, [tmp_path] * 16))
    assert all(one == found[0] for one in found)
    suffixes = [path.suffix for path in (tmp_path / "statistics").iterdir()]
    assert sorted(suffixes) == [".safetensors", ".seal"]
