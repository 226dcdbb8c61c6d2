"""Each damage to signals against numbers by hand."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tutelage import corruptions
from tutelage.corruptions import (
    Both,
    Drift,
    GainError,
    InputFacts,
    LostChannels,
    LostSamples,
    LostStretch,
    LowerRate,
    Noise,
    RotatedSensor,
    TimeShift,
    TimeWarp,
)
from tutelage.corruptions.base import Corruption
from tutelage.corruptions.sensors import bodies_of, rotations
from tutelage.errors import UserError

HAPT = ("acc-x", "acc-y", "acc-z", "gyro-x", "gyro-y", "gyro-z")
ALL = [getattr(corruptions, name) for name in corruptions.__all__]
SIGNAL = [kind for kind in ALL if kind.modality == "signal"]


def facts(channels=HAPT, time=100, mean=None, std=None):
    count = len(channels)
    mean = np.zeros(count) if mean is None else np.asarray(mean, float)
    std = np.ones(count) if std is None else np.asarray(std, float)
    return InputFacts("signal", (count, time), tuple(channels), mean, std)


def clean(count=300, channels=6, time=100, kind=np.float32):
    return np.random.default_rng(1).normal(size=(count, channels, time)).astype(kind) + 5


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.mark.parametrize("kind", SIGNAL)
def test_contract(kind):
    damage, signals, about = kind(), clean(), facts()
    before, changed = signals.copy(), []
    assert len(damage.amounts(about)) == 5
    assert damage.meaning
    for severity in range(6):
        found = damage(signals, severity, rng(), about)
        np.testing.assert_array_equal(signals, before)
        assert (found.shape, found.dtype) == (signals.shape, signals.dtype)
        assert not np.shares_memory(found, signals)
        assert np.isfinite(found).all()
        np.testing.assert_array_equal(found, damage(signals, severity, rng(), about))
        if severity:
            assert not np.array_equal(found, damage(signals, severity, rng(1), about))
        else:
            np.testing.assert_array_equal(found, before)
        # neighbours in time differ little in what is measured, so that warps and shifts grow, too
        ramp = np.broadcast_to(np.linspace(0, 1, 100, dtype=np.float32) ** 2, signals.shape)
        changed.append(float(np.abs(damage(ramp, severity, rng(), about) - ramp).mean()))
    assert changed == sorted(changed)
    assert changed[0] == 0 < changed[1]


@pytest.mark.parametrize("kind", SIGNAL)
def test_wrong_severities_and_arrays_are_refused(kind):
    for severity in (-1, 6, 1.5):
        with pytest.raises(UserError, match=f"{kind.__name__}: found severity"):
            kind()(clean(), severity, rng(), facts())
    for wrong in (clean()[0], np.zeros((2, 6, 100), int)):
        with pytest.raises(UserError, match="allowed are signals"):
            kind()(wrong, 1, rng(), facts())
    with pytest.raises(UserError, match="numbers that grow"):
        kind(levels=(0.3, 0.2))
    with pytest.raises(UserError, match="damages signals, and the data set holds images"):
        kind().refuse(InputFacts.plain("image", (3, 32, 32), ("red", "green", "blue")))


@given(st.integers(1, 12), st.integers(0, 5), st.sampled_from(SIGNAL))
def test_any_length(time, severity, kind):
    channels = ("a", "acc-x", "acc-y", "acc-z")
    signals = clean(2, 4, time, np.float64)
    found = kind()(signals, severity, rng(), facts(channels, time))
    assert found.shape == (2, 4, time)
    assert np.isfinite(found).all()


def test_noise_is_in_units_of_each_channel():
    about = facts(("a", "b"), std=[2.0, 0.5])
    added = Noise()(clean(2000, 2), 3, rng(), about).astype(float) - clean(2000, 2)
    np.testing.assert_allclose(added.std(axis=(0, 2)), [0.5, 0.125], rtol=0.01)
    assert np.abs(added.mean(axis=(0, 2)) < 0.01).all()
    # a draw grows with its severity: the same noise, twice as strong
    mild = Noise()(clean(9, 2), 1, rng(), about).astype(float) - clean(9, 2)
    strong = Noise()(clean(9, 2), 2, rng(), about).astype(float) - clean(9, 2)
    np.testing.assert_allclose(strong, 2 * mild, atol=1e-5)


@pytest.mark.parametrize(("severity", "count"), list(enumerate([10, 20, 30, 50, 70], 1)))
def test_the_share_of_lost_samples_is_exact(severity, count):
    about = facts(mean=range(6))
    signals = clean(kind=np.float64)
    found = LostSamples()(signals, severity, rng(), about)
    changed = found != signals
    assert (changed.all(axis=1) == changed.any(axis=1)).all()  # in all channels at once
    gone = changed.any(axis=1)
    assert (gone.sum(axis=1) == count).all()
    for channel in range(6):
        assert (found[:, channel][gone] == channel).all()
    # what is lost at a severity is lost at the next
    if severity > 1:
        milder = (LostSamples()(signals, severity - 1, rng(), about) != signals).any(axis=1)
        assert (gone | ~milder).all()
    assert abs(gone.mean(axis=0) - count / 100).max() < 0.12  # anywhere in the window


def test_lost_samples_can_hold_the_one_before():
    signals = np.arange(8.0)[None, None, :] + 10
    about = facts(("a",), 8, mean=[-1])
    found = LostSamples(fill="hold")(signals, 4, rng(3), about)[0, 0]
    gone = LostSamples()(signals, 4, rng(3), about)[0, 0] == -1
    assert gone.sum() == 4
    held = -1.0
    for at in range(8):
        held = held if gone[at] else signals[0, 0, at]
        assert found[at] == held


@pytest.mark.parametrize(("severity", "length"), [(2, 15), (3, 22), (4, 30)])
def test_a_lost_stretch_is_one_piece_of_the_published_length(severity, length):
    signals, firsts = clean(), set()
    found = LostStretch()(signals, severity, rng(), facts())
    for before, after in zip(signals, found, strict=True):
        gone = np.flatnonzero((after == 0).all(axis=0))
        assert gone.tolist() == list(range(gone[0], gone[0] + length))
        kept = np.setdiff1d(np.arange(100), gone)
        np.testing.assert_array_equal(after[:, kept], before[:, kept])
        firsts.add(int(gone[0]))
    assert min(firsts) <= 3
    assert max(firsts) >= 97 - length


@pytest.mark.parametrize(
    ("channels", "counts"), [(6, [1, 2, 3, 4, 5]), (3, [1, 1, 2, 2, 2]), (2, [1] * 5)]
)
def test_lost_channels(channels, counts):
    about = facts([f"c{i}" for i in range(channels)], mean=[-7.0] * channels)
    for severity, count in enumerate(counts, 1):
        found = LostChannels()(clean(200, channels), severity, rng(), about)
        gone = (found == -7).all(axis=2)
        assert (gone.sum(axis=1) == count).all()
        assert gone.any(axis=0).all()  # every channel in some window
        np.testing.assert_array_equal(found[~gone], clean(200, channels)[~gone])
    with pytest.raises(UserError, match="one channel, and without it nothing would be left"):
        LostChannels().refuse(facts(("a",)))


def test_gain_errors_are_factors_of_whole_channels():
    gains = GainError()(clean(1000), 3, rng(), facts()).astype(float) / clean(1000)
    np.testing.assert_allclose(gains, gains[:, :, :1] + np.zeros_like(gains), rtol=1e-4)
    assert np.log(gains[:, :, 0]).std() == pytest.approx(0.2, rel=0.03)
    assert np.log(gains[:, :, 0]).mean() == pytest.approx(0, abs=0.01)


def test_drift_is_a_line_to_its_end():
    about = facts(("a", "b"), 5, std=[1.0, 10.0])
    added = Drift()(np.zeros((50, 2, 5)), 3, rng(), about)
    np.testing.assert_allclose(
        np.abs(added), [[[0, 0.25, 0.5, 0.75, 1], [0, 2.5, 5, 7.5, 10]]] * 50
    )
    assert {-1.0, 1.0} == set(np.sign(added[:, 0, -1]).tolist())


def test_a_rotation_keeps_norms_and_turns_by_its_angle():
    found = rotations(500, 37.0, rng())
    np.testing.assert_allclose(found @ found.transpose(0, 2, 1), [np.eye(3)] * 500, atol=1e-12)
    np.testing.assert_allclose(np.linalg.det(found), 1)
    np.testing.assert_allclose(
        np.trace(found, axis1=1, axis2=2), 1 + 2 * math.cos(math.radians(37))
    )
    # directions are uniform: the mean of the turned axis is cos + (1 - cos) / 3 of it
    cos = math.cos(math.radians(37))
    many = rotations(40_000, 37.0, rng(1)).mean(axis=0)
    np.testing.assert_allclose(many, np.eye(3) * (cos + (1 - cos) / 3), atol=0.01)


def test_sensors_of_one_device_turn_together():
    signals = clean(40, 6, 100, np.float64)
    found = RotatedSensor()(signals, 4, rng(), facts())
    for sensor in (slice(0, 3), slice(3, 6)):
        np.testing.assert_allclose(
            np.linalg.norm(found[:, sensor], axis=1), np.linalg.norm(signals[:, sensor], axis=1)
        )
    for before, after in zip(
        signals, found, strict=True
    ):  # the turn that fits one sensor fits the other
        turn, *_ = np.linalg.lstsq(before[:3].T, after[:3].T, rcond=None)
        np.testing.assert_allclose(before[3:].T @ turn, after[3:].T, atol=1e-9)
        assert math.degrees(math.acos((np.trace(turn) - 1) / 2)) == pytest.approx(45)
    apart = RotatedSensor(bodies=(HAPT[:3], HAPT[3:]))(signals, 4, rng(), facts())
    np.testing.assert_allclose(apart[:, :3], found[:, :3])
    assert not np.allclose(apart[:, 3:], found[:, 3:])
    only = RotatedSensor(bodies=(HAPT[3:],))(signals, 4, rng(), facts())
    np.testing.assert_array_equal(only[:, :3], signals[:, :3])


def test_channels_say_what_turns_as_one_piece():
    assert bodies_of(HAPT) == {"": ((0, 1, 2), (3, 4, 5))}
    assert bodies_of(["x", "y", "z"]) == {"": ((0, 1, 2),)}
    names = ["heart rate"] + [
        f"{place} {kind}-{axis}"
        for place in ("hand", "chest")
        for kind in ("acc", "mag")
        for axis in "xyz"
    ]
    assert bodies_of(names) == {"hand": ((1, 2, 3), (4, 5, 6)), "chest": ((7, 8, 9), (10, 11, 12))}
    assert bodies_of(["acc-x", "acc-y", "channel 1"]) == {}


def test_rotations_that_cannot_be_are_refused():
    with pytest.raises(UserError, match="no three channels are named x, y and z"):
        RotatedSensor().refuse(facts(("channel 1", "channel 2", "channel 3")))
    with pytest.raises(UserError, match="'acc-w'"):
        RotatedSensor(bodies=(("acc-x", "acc-y", "acc-w"),)).refuse(facts())
    for bodies in ((("acc-x", "acc-y"),), (HAPT[:3], HAPT[:3])):
        with pytest.raises(UserError, match="x, y and z of one sensor after the other"):
            RotatedSensor(bodies=bodies).refuse(facts())


def test_a_warp_keeps_its_ends_and_its_speed():
    line = np.broadcast_to(np.arange(101.0), (200, 1, 101))
    found = TimeWarp()(line, 3, rng(), facts(("a",), 101))[:, 0]
    np.testing.assert_allclose(found[:, 0], 0, atol=1e-9)
    np.testing.assert_allclose(found[:, -1], 100, atol=1e-9)
    speed = np.diff(found, axis=1)
    assert 1.39 < speed.max() < 1.4
    assert 0.6 < speed.min() < 0.61
    # linear between samples: a square is met at whole positions only
    square = TimeWarp()(line**2, 3, rng(), facts(("a",), 101))[:, 0]
    whole = np.floor(found).astype(int).clip(0, 99)
    by_hand = whole**2 + (found - whole) * ((whole + 1) ** 2 - whole**2)
    np.testing.assert_allclose(square, by_hand, atol=1e-6)


@pytest.mark.parametrize(("severity", "step"), list(enumerate([2, 3, 4, 6, 8], 1)))
def test_a_lower_rate_against_a_slow_loop(severity, step):
    signals, phases = clean(60, 2, 37, np.float64), set()
    found = LowerRate()(signals, severity, rng(), facts(("a", "b"), 37))
    for before, after in zip(signals, found, strict=True):
        fitting = []
        for first in range(step):
            at = np.arange(first, 37, step)
            by_hand = [np.interp(np.arange(37), at, channel[at]) for channel in before]
            if np.allclose(after, by_hand):
                fitting.append(first)
        assert len(fitting) == 1
        phases.add(fitting[0])
    assert phases == set(range(step))


def test_a_shift_turns_the_window():
    signals = clean(200)
    found = TimeShift()(signals, 2, rng(), facts())
    turns = {10, -10}
    seen = set()
    for before, after in zip(signals, found, strict=True):
        fits = [turn for turn in turns if np.array_equal(np.roll(before, turn, axis=1), after)]
        assert len(fits) == 1
        seen.add(fits[0])
    assert seen == turns


def test_both_happen_one_after_the_other():
    noise, gap = Noise(levels=(0.06, 0.09, 0.12)), LostStretch(levels=(0.15, 0.22, 0.3))
    both, about = Both(noise, gap), facts()
    both.refuse(about)
    found, stream = both(clean(), 2, rng(), about), rng()
    np.testing.assert_array_equal(found, gap(noise(clean(), 2, stream, about), 2, stream, about))
    assert ((found == 0).all(axis=1).sum(axis=1) == 22).all()
    assert both.said(2, about) == "0.09 and 0.22"
    with pytest.raises(UserError, match="first has 5 levels and second 3"):
        Both(Noise(), gap).refuse(about)
    with pytest.raises(UserError, match="found severity 4"):
        both(clean(), 4, rng(), about)


def test_a_description_says_what_decides_the_numbers():
    assert Noise().description == {
        "type": "Noise",
        "version": 1,
        "levels": [0.06, 0.12, 0.25, 0.5, 1.0],
    }
    assert Noise(levels=(0.1,)).description != Noise(levels=(0.2,)).description
    assert Both(Noise(), Drift()).description["second"]["type"] == "Drift"
    kinds = [kind for kind in ALL if issubclass(kind, Corruption) and kind is not Both]
    described = [str(kind().description) for kind in kinds]
    assert len(set(described)) == len(kinds) == len(ALL) - 1
