"""Gramian and transition fields against pyts and golden vectors."""

import pickle
import warnings

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numba.typed import List  # noqa: F401  (its parts need the compiler: before the switch below)
from sklearn.base import clone

from tutelage.errors import UserError
from tutelage.modalities import GramianField, TransitionField

# pyts compiles everything when it is imported, half a minute that is of no use to a few small series
numba.config.DISABLE_JIT = True
from pyts.image import GramianAngularField, MarkovTransitionField  # noqa: E402

numba.config.DISABLE_JIT = False

quick = settings(max_examples=30, deadline=None, derandomize=True)
SERIES = np.array([0, 1, 2, 4, 3, 0, 5, 1.0])[None, None]
signals = st.one_of(
    *(
        arrays(np.float64, st.tuples(st.integers(1, 3), st.just(1), st.integers(4, 40)), elements=e)
        for e in (st.integers(-3, 3).map(float), st.floats(-100, 100, width=32))
    )
)


@pytest.mark.parametrize("kind", ["summation", "difference"])
@quick
@given(signals, st.data())
def test_gramian_equals_pyts(kind, x, data):
    size = data.draw(st.integers(1, x.shape[2]))
    found = GramianField(kind=kind, size=size).fit_transform(x)
    expected = GramianAngularField(image_size=size, method=kind).transform(x[:, 0])
    # the root amplifies rounding near +-1: 1e-16 in the cosine is 1e-8 in the sine
    assert np.abs(found[:, 0] - expected).max() < 1e-6


@quick
@given(signals, st.integers(2, 9), st.data())
def test_transition_equals_pyts(x, bins, data):
    size = data.draw(st.integers(1, x.shape[2]))
    found = TransitionField(bins=bins, size=size).fit_transform(x)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of equal quantiles
        expected = MarkovTransitionField(image_size=size, n_bins=bins).transform(x[:, 0])
    assert np.abs(found[:, 0] - expected).max() < 1e-6


def test_golden_vectors():
    gasf = GramianField(size=4).fit_transform(SERIES)[0, 0]
    expected = [[1, -1, 0.2, -1], [-1, 1, -0.2, 1], [0.2, -0.2, -0.92, -0.2], [-1, 1, -0.2, 1]]
    assert np.allclose(gasf, expected, atol=1e-6)
    row = GramianField(size=8).fit_transform(SERIES)[0, 0, 0]
    assert np.allclose(row, [1, 0.6, 0.2, -0.6, -0.2, 1, -1, 0.6], atol=1e-6)
    gadf = GramianField(kind="difference", size=4).fit_transform(SERIES)[0, 0, 0]
    assert np.allclose(gadf, [0, 0, 0.979796, 0], atol=1e-6)


@quick
@given(signals, st.floats(0.5, 20), st.floats(-5, 5))
def test_gramian_laws(x, slope, offset):
    x = np.round(x, 3)
    gasf = GramianField(size=None).fit_transform(x)
    gadf = GramianField(kind="difference", size=None).fit_transform(x)
    assert np.array_equal(gasf, gasf.swapaxes(2, 3)) and np.abs(gasf).max() <= 1 + 1e-6
    assert np.allclose(gadf, -gadf.swapaxes(2, 3), atol=1e-6)
    moved = GramianField(size=None).fit_transform(slope * x + offset)
    assert np.abs(moved - gasf).max() < 1e-4


def test_constant_signal():
    x = np.full((1, 1, 10), 3.0)
    assert np.allclose(GramianField(size=5).fit_transform(x), 1)
    assert np.isfinite(TransitionField(size=5).fit_transform(x)).all()


SCALES = [10.0**k for k in range(-12, 13)]


@pytest.mark.parametrize("value", [0.1, 0.3, -0.7, 1 / 3, 1e-13, 101325.0, 1e12 / 7])
@pytest.mark.parametrize("kind", ["summation", "difference"])
@pytest.mark.parametrize("size", [2, 3, 7, None])
def test_a_constant_signal_is_a_constant_field(value, kind, size):
    """Averages of equal numbers differ by rounding, which must not be stretched to full scale."""
    expected = 1 if kind == "summation" else 0
    for length in (5, 10, 50, 100, 128):
        for scale in SCALES:
            x = np.full((1, 1, length), value * scale)
            field = GramianField(kind=kind, size=size and min(size, length))
            assert np.abs(field.fit_transform(x) - expected).max() < 1e-7
            assert np.abs(TransitionField(size=2).fit_transform(x) - 1).max() < 1e-5


def test_random_constants_are_constant_fields():
    x = np.repeat(np.random.default_rng(0).normal(size=(2000, 1, 1)), 50, axis=2)
    for values in (x, x.astype(np.float32)):
        assert np.abs(GramianField(size=7).fit_transform(values) - 1).max() < 1e-7
    alternating = np.tile([[[0.1, 0.7]]], (1, 1, 25)) * x  # equal averages of unequal samples
    assert np.abs(GramianField(size=5).fit_transform(alternating) - 1).max() < 1e-7


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("offset", [0.0, 3.0, -1e4, 1e6])
def test_fields_know_neither_scale_nor_offset(scale, offset):
    x = np.random.default_rng(1).integers(-8, 9, size=(5, 1, 60)) * 1.0
    moved = (x + offset) * scale
    for field in (GramianField(size=12), GramianField(kind="difference", size=12)):
        # the root amplifies rounding of the offset near +-1
        np.testing.assert_allclose(field.fit_transform(moved), field.fit_transform(x), atol=2e-4)
    for bins in (2, 5, 8):
        field = TransitionField(bins=bins, size=12)
        np.testing.assert_array_equal(field.fit_transform(moved), field.fit_transform(x))


def test_a_small_signal_on_a_large_offset_is_seen():
    x = 101325 + 0.05 * np.random.default_rng(2).normal(size=(3, 1, 64))
    centred = x - 101325
    field = GramianField(size=16)
    np.testing.assert_allclose(field.fit_transform(x), field.fit_transform(centred), atol=1e-4)


@pytest.mark.parametrize(
    ("field", "decode"),
    [
        (GramianField(size=20), lambda u: u / 127.5 - 1),
        (GramianField(kind="difference", size=20), lambda u: u / 127.5 - 1),
        (TransitionField(size=20), lambda u: u / 255),
    ],
)
def test_bytes_threads_and_form(field, decode):
    x = np.random.default_rng(0).normal(size=(300, 2, 50)).astype(np.float32)
    image = field.fit_transform(x)
    small = clone(field).set_params(dtype="uint8").fit_transform(x)
    step = decode(np.array(1.0)) - decode(np.array(0.0))
    assert small.dtype == np.uint8 and np.abs(decode(small) - image).max() <= step / 2 + 1e-6
    assert np.array_equal(clone(field).set_params(n_jobs=2).fit_transform(x), image)
    fitted = clone(field).fit(x)
    assert np.array_equal(pickle.loads(pickle.dumps(fitted)).transform(x), image)
    assert np.array_equal(clone(field).restore(fitted.fitted()).transform(x), image)


@pytest.mark.parametrize("kind", [GramianField, TransitionField])
def test_refusals(kind):
    x = np.random.default_rng(0).normal(size=(3, 2, 30))
    with pytest.raises(UserError, match=r"1 to the length of the signal \(30\)"):
        kind(size=31).fit(x)
    with pytest.raises(UserError, match="as in training"):
        kind(size=10).fit(x).transform(x[:, :1])
    with pytest.raises(UserError, match=r"allowed: \[channels, time\]"):
        kind(size=10).fit(x[0])
    with pytest.raises(UserError, match="no samples"):
        kind(size=10).fit(x[:0])
    x[2, 1, 0] = np.nan
    with pytest.raises(UserError, match="found nan"):
        kind(size=10).fit(x)
    with pytest.raises(UserError, match="dtype"):
        kind(size=10, dtype="float16").fit(x)


def test_refused_choices():
    with pytest.raises(UserError, match="did you mean 'summation'"):
        GramianField(kind="sumation").fit(SERIES)
    with pytest.raises(UserError, match="bins"):
        TransitionField(bins=1).fit(SERIES)
