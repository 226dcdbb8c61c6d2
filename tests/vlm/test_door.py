"""Signals at the door of an encoder: against what a sensor of that rate and unit would have written."""

import numpy as np
import pytest
import torch

from tutelage.errors import UserError
from tutelage.units import factor
from tutelage.vlm.door import Door, Reads, resampled


def wave(rate, seconds, hertz, offset=0.0):
    t = np.arange(round(rate * seconds)) / rate
    return torch.from_numpy((offset + np.sin(2 * np.pi * hertz * t))[None, None].astype(np.float32))


@pytest.mark.parametrize(
    ("rate", "wanted"), [(50, 30), (100, 30), (30, 100), (100 / 3, 50), (50, 20)]
)
def test_a_slow_wave_is_what_the_other_sensor_would_have_written(rate, wanted):
    found = resampled(wave(rate, 6, 2.0, offset=1.0), rate, wanted)
    expected = wave(wanted, 6, 2.0, offset=1.0)
    assert abs(found.shape[2] - expected.shape[2]) <= 1
    inner = slice(wanted // 2 if isinstance(wanted, int) else 10, -(wanted // 2))
    n = min(found.shape[2], expected.shape[2])
    assert (found[..., :n] - expected[..., :n])[..., inner].abs().max() < 0.02


def test_what_the_other_rate_cannot_hold_is_filtered_out_and_not_folded_back():
    fast = wave(100, 6, 35.0)  # 35 Hz at 30 Hz would be read as 5 Hz
    found = resampled(fast, 100, 30)
    assert found[..., 15:-15].abs().max() < 0.01
    assert fast[..., ::3][..., 15:-15].abs().max() > 0.9  # picking samples folds it back


def test_gravity_makes_no_step_at_the_ends():
    found = resampled(torch.ones(1, 3, 128), 50, 30)
    assert found.shape == (1, 3, 77)
    assert (found - 1).abs().max() < 1e-3


def test_rates_without_a_ratio_of_small_numbers_are_refused():
    with pytest.raises(UserError, match=r"rate: 50 Hz cannot become 31\.4159 Hz|rate: 50 Hz"):
        resampled(torch.zeros(1, 1, 8), 50, 50 * np.pi * 1e-4)


def test_units_by_hand():
    assert factor("m/s2", "g") == pytest.approx(1 / 9.80665)
    assert factor("g", "m/s2") == pytest.approx(9.80665)
    assert factor("mg", "m/s2") == pytest.approx(9.80665e-3)
    assert factor("deg/s", "rad/s") == pytest.approx(0.017453292519943295)
    assert factor("mT", "gauss") == pytest.approx(10.0)
    with pytest.raises(UserError, match="different things"):
        factor("g", "rad/s")
    with pytest.raises(UserError, match=r"unknown unit 'm/s'; did you mean 'm/s2'"):
        factor("m/s", "g")


def test_channels_units_and_standardisation_by_hand():
    reads = Reads(50, ["z", "x"], ["m/s2", "deg/s"], mean=[9.80665, 90], std=[2, 10])
    door = Door(reads, ["g", "rad/s"], 50, ["x", "y", "z"])
    x = torch.tensor([[[np.pi / 2] * 4, [7.0] * 4, [2.0] * 4]], dtype=torch.float32)
    expected = torch.tensor([[[9.80665 / 2] * 4, [0.0] * 4]])
    assert torch.allclose(door(x), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("shorter", "expected"),
    [("repeat", [1, 2, 3, 1, 2]), ("zeros", [0, 1, 2, 3, 0])],
)
def test_windows_that_are_shorter_are_filled_as_told(shorter, expected):
    door = Door(Reads(10, ["a"], "1", length=5, shorter=shorter), "1", 10, ["a"])
    assert door(torch.tensor([[[1.0, 2, 3]]])).tolist() == [[expected]]
    assert door(torch.arange(9.0)[None, None]).tolist() == [[[2, 3, 4, 5, 6]]]


def test_shorter_windows_are_refused_unless_told():
    door = Door(Reads(10, ["a"], "1", length=5), "1", 10, ["a"])
    with pytest.raises(UserError, match="5 samples at 10 Hz, but a window has 3"):
        door(torch.zeros(1, 1, 3))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"channels": ["acc-x", "acc-w"]}, r"unknown channel 'acc-w'; did you mean"),
        ({"rate": 0}, "rate: 0 must be > 0"),
        ({"std": [1.0, 0.0]}, "std: found"),
        ({"mean": [1.0]}, "mean: found 1 numbers; allowed: 2"),
        ({"units": ["g"]}, "units: found 1 units"),
    ],
)
def test_a_wrong_description_is_one_sentence(change, sentence):
    about = {"rate": 30, "channels": ["acc-x", "acc-y"], "units": "g"} | change
    with pytest.raises(UserError, match=sentence):
        Door(Reads(**about), "m/s2", 50, ["acc-x", "acc-y", "acc-z"])
