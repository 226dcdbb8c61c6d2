"""Statistics of the training side: computed once, by however many workers, and read back exactly."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.training.small import recipe
from tutelage.data import leakage
from tutelage.recipe.config import Recipe, parse
from tutelage.recipe.data_spec import DataSpec, load_data
from tutelage.recipe.fold import Fold


def fold(cache):
    parsed = parse(Recipe, recipe(), "")
    return Fold.of(DataSpec.of(parsed), load_data(parsed.data, None, None), 0, cache)


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


def of_channels(tmp_path, channels, standardise="global"):
    data = replace(fold(tmp_path), standardise=standardise)
    count = len(data.split.train) + len(data.split.validation) + len(data.split.test)
    noise = torch.from_numpy(np.random.default_rng(0).normal(size=(count, 1, 32)))
    values = torch.cat([channel(noise) for channel in channels], dim=1)
    train = values[torch.from_numpy(data.split.train)].double()
    return train, *data._statistics(values)


@pytest.mark.parametrize("standardise", ["global", "within_window"])
def test_every_scale_and_offset_is_standardised(tmp_path, standardise):
    channels = [lambda x, k=k: x * 10.0**k for k in range(-18, 19, 3)]
    channels += [lambda x: 101325 + 0.05 * x, lambda x: 1e8 + x, lambda x: 1e12 - x]
    train, mean, std = of_channels(tmp_path, channels, standardise)
    dims = (0, 2) if standardise == "global" else 2
    # torch's own loses six digits at an offset of 1e12
    expected = (train - train[:1, :, :1]).std(dim=dims, correction=0)
    expected = expected if standardise == "global" else expected.mean(dim=0)
    torch.testing.assert_close(std.double(), expected, rtol=1e-6, atol=0)
    torch.testing.assert_close(mean.double(), train.mean(dim=(0, 2)), rtol=1e-6, atol=1e-3)


@pytest.mark.parametrize("standardise", ["global", "within_window"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_constant_is_left_as_it_is(tmp_path, standardise, dtype):
    constants = [0.0, 0.1, -3.7, 101325.3, 1e-13, 1e8 / 3]
    channels = [lambda x, c=c: torch.full_like(x, c).to(dtype) for c in constants]
    _, _, std = of_channels(tmp_path, channels, standardise)
    assert std.tolist() == [1.0] * len(constants)


def test_what_rounding_leaves_of_a_constant_is_not_scaled_up(tmp_path):
    def rounded(x):
        values = torch.full_like(x, 0.1).float()
        return torch.where(x > 0, torch.nextafter(values, torch.tensor(1.0)), values)

    assert of_channels(tmp_path, [rounded])[2].tolist() == [1.0]
    train, _, std = of_channels(tmp_path, [lambda x: (101325 + 0.05 * x).float()])
    assert std[0] == pytest.approx(float(train.std(correction=0)), rel=1e-6)


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
