import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tutelage.data.corruptions import CORRUPTIONS, missing, missing_and_noise, noise, scaling, shift
from tutelage.errors import UserError


def clean(count=400, window=100, channels=3, kind=np.float32):
    return np.random.default_rng(1).normal(size=(count, channels, window)).astype(kind) + 5


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.mark.parametrize("name", CORRUPTIONS)
@pytest.mark.parametrize("level", range(4))
def test_contract(name, level):
    signals = clean()
    before = signals.copy()
    found = CORRUPTIONS[name](signals, level, rng())
    np.testing.assert_array_equal(signals, before)
    assert (found.shape, found.dtype) == (signals.shape, signals.dtype)
    assert not np.shares_memory(found, signals)
    assert np.isfinite(found).all()
    assert np.array_equal(found, before) == (level == 0)
    np.testing.assert_array_equal(found, CORRUPTIONS[name](signals, level, rng()))
    if level:
        assert not np.array_equal(found, CORRUPTIONS[name](signals, level, rng(1)))


@pytest.mark.parametrize(("level", "length"), [(1, 15), (2, 22), (3, 30)])
def test_missing_is_one_stretch_in_all_channels(level, length):
    signals = clean()
    found = missing(signals, level, rng())
    firsts = set()
    for before, after in zip(signals, found, strict=True):
        gone = np.flatnonzero((after == 0).all(axis=0))
        assert gone.tolist() == list(range(gone[0], gone[0] + length))
        kept = np.setdiff1d(np.arange(100), gone)
        np.testing.assert_array_equal(after[:, kept], before[:, kept])
        firsts.add(int(gone[0]))
    assert {0, 100 - length} <= firsts | {0, 100 - length}
    assert min(firsts) <= 2
    assert max(firsts) >= 98 - length


def test_missing_reaches_both_ends():
    found = missing(clean(3000, 10, 1), 3, rng())
    assert set(np.argmax(found[:, 0] == 0, axis=1).tolist()) == set(range(8))


@pytest.mark.parametrize(("level", "sigma"), [(1, 0.06), (2, 0.09), (3, 0.12)])
def test_noise_has_the_published_spread(level, sigma):
    added = noise(clean(), level, rng()).astype(float) - clean()
    assert added.std() == pytest.approx(sigma, rel=0.01)
    assert abs(added.mean()) < sigma / 100
    assert np.abs(np.corrcoef(added[:, :, 1:].ravel(), added[:, :, :-1].ravel())[0, 1]) < 0.02


@pytest.mark.parametrize(("level", "most"), [(1, 5), (2, 10), (3, 20)])
def test_shift_turns_every_window_by_a_few_samples(level, most):
    signals = clean()
    found = shift(signals, level, rng())
    steps = set()
    for before, after in zip(signals, found, strict=True):
        fits = [step for step in range(-50, 50) if np.array_equal(np.roll(before, step, 1), after)]
        assert len(fits) == 1
        steps.add(fits[0])
    assert steps == set(range(-most, most + 1)) - {0}


@pytest.mark.parametrize(("level", "spread"), [(1, 0.05), (2, 0.10), (3, 0.20)])
def test_scaling_is_one_gain_for_each_channel(level, spread):
    gains = scaling(clean(), level, rng()).astype(float) / clean()
    np.testing.assert_allclose(gains, gains[:, :, :1] + np.zeros_like(gains), rtol=1e-5)
    assert gains[:, :, 0].std() == pytest.approx(spread, rel=0.1)
    assert gains.mean() == pytest.approx(1, abs=0.02)
    assert not np.allclose(gains[:, 0, 0], gains[:, 1, 0])


def test_missing_and_noise_is_both():
    found = missing_and_noise(clean(), 2, rng())
    gone = found == 0
    assert gone.all(axis=1).sum(axis=1).tolist() == [22] * 400
    assert (found - clean())[~gone].std() == pytest.approx(0.09, rel=0.02)


@given(st.integers(1, 12), st.integers(0, 3), st.sampled_from(sorted(CORRUPTIONS)))
def test_any_length(window, level, name):
    signals = clean(2, window, 1, np.float64)
    assert CORRUPTIONS[name](signals, level, rng()).shape == (2, 1, window)


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_wrong_levels_and_arrays_are_refused(name):
    for level in (-1, 4, 1.5):
        with pytest.raises(UserError, match="corruption level: found"):
            CORRUPTIONS[name](clean(), level, rng())
    for wrong in (clean()[0], np.zeros((2, 3, 4), int)):
        with pytest.raises(UserError, match="allowed are windows"):
            CORRUPTIONS[name](wrong, 1, rng())
