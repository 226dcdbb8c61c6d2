import numpy as np
import pytest
from sklearn.base import clone

from tutelage.errors import UserError
from tutelage.modalities import GramianField, PersistenceImage, Scaled, represent

RANDOM = np.random.default_rng(0)
# two channels of very different size and offset, and one that never changes
X = (RANDOM.normal(size=(40, 3, 32)) * [[1.0], [50.0], [0.0]] + [[5.0], [-100.0], [2.0]]).astype(
    np.float32
)


def by_hand(x, train, width):
    x, train = x.astype(np.float64), train.astype(np.float64)
    out = np.zeros_like(x)
    for c in range(x.shape[1]):
        values = train[:, c].ravel()
        low, high = values.min(), values.max()
        if width is not None:
            low = max(low, values.mean() - width * values.std())
            high = min(high, values.mean() + width * values.std())
        out[:, c] = np.clip((x[:, c] - low) / (high - low if high > low else 1.0), 0, 1)
    return out


@pytest.mark.parametrize("width", [None, 2.0, 4.0])
def test_equals_scaling_by_hand_then_the_inner_modality(width):
    inner = PersistenceImage(resolution=8, normalize="none")
    scaled = Scaled(clone(inner), width=width).fit(X[:30])
    expected = clone(inner).fit(by_hand(X[:30], X[:30], width)).transform(by_hand(X, X[:30], width))
    np.testing.assert_allclose(scaled.transform(X), expected, rtol=1e-5, atol=1e-6)


def test_a_gramian_field_with_limits_keeps_amplitude_and_offset():
    field = GramianField(size=8, limits=(0, 1))
    images = Scaled(field).fit(X).transform(X)
    y = by_hand(X, X, 4.0)
    for n, c in ((0, 0), (7, 1)):
        value = 2 * y[n, c].reshape(8, 4).mean(1) - 1
        angle = np.arccos(np.clip(value, -1, 1))
        expected = np.cos(angle[:, None] + angle[None, :])
        np.testing.assert_allclose(images[n, c], expected, atol=1e-5)
    shifted = GramianField(size=8).fit(X)
    np.testing.assert_allclose(shifted.transform(X + 1000), shifted.transform(X), atol=2e-3)
    assert np.abs(field.fit(y).transform(y * 0.5) - field.transform(y)).max() > 0.1


def make(**more):
    return Scaled(PersistenceImage(resolution=8, dtype="uint8", **more))


def test_the_range_is_learned_from_training_alone_and_remembered(tmp_path):
    outlier = np.concatenate([X, X * 100])

    def images(modality):
        return represent(modality, outlier, source="a", train=np.arange(40), folder=tmp_path)

    modality, again = make(), make()
    first = images(modality)
    np.testing.assert_array_equal(first[:40], make().fit(X).transform(X))
    assert images(again).filename == first.filename
    assert again.low_ == modality.low_
    assert images(make(min_persistence=0.1)).filename != first.filename


class Seen(GramianField):
    """Keeps what it is given."""

    def _write(self, samples, out):
        out[:] = samples[:, :, :1, None]
        Seen.samples = samples.copy()


@pytest.mark.parametrize("scale", [10.0**k for k in range(-12, 13, 3)])
@pytest.mark.parametrize("offset", [0.0, 1e3, 1e8])
def test_neither_scale_nor_offset_matters(scale, offset):
    x = RANDOM.normal(size=(30, 2, 32))
    scaled = Scaled(Seen(size=1))
    scaled.fit(x).transform(x)
    expected = Seen.samples
    assert expected.min() < 0.2 and expected.max() > 0.8
    moved = (x + offset) * scale
    scaled.fit(moved).transform(moved)
    np.testing.assert_allclose(Seen.samples, expected, atol=1e-7)


@pytest.mark.parametrize("value", [0.1, 1e8 / 3, 1e-13, -7.3])
@pytest.mark.parametrize("width", [None, 4.0])
def test_a_channel_that_never_changed_is_zero_whatever_comes(value, width):
    x = np.full((30, 1, 32), value)
    noisy = x.astype(np.float32)
    noisy[::2] = np.nextafter(noisy[::2], np.float32(np.inf))  # what rounding to float32 leaves
    for train in (x, x.astype(np.float32), noisy):
        scaled = Scaled(Seen(size=1), width=width).fit(train)
        scaled.transform(train)
        assert np.array_equal(Seen.samples, np.zeros_like(Seen.samples))
        scaled.transform(x * 2)
        assert np.array_equal(Seen.samples, np.zeros_like(Seen.samples))


def test_mistakes():
    with pytest.raises(UserError, match=r"Scaled\.width: found -1"):
        Scaled(GramianField(size=8), width=-1).fit(X)
    with pytest.raises(UserError, match=r"GramianField\.limits: found \[1, 0\]"):
        GramianField(size=8, limits=(1, 0)).fit(X)
    with pytest.raises(UserError, match="found 2 channels, allowed: 3 as in training"):
        Scaled(GramianField(size=8)).fit(X).transform(X[:, :2])
