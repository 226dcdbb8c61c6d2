"""Each damage to images against numbers by hand, or a slow loop over pixels."""

import colorsys
import io

import numpy as np
import pytest
from PIL import Image

from tutelage import corruptions
from tutelage.corruptions import InputFacts
from tutelage.corruptions.image import _clouds, _disc
from tutelage.errors import UserError

IMAGE = [
    getattr(corruptions, name)
    for name in corruptions.__all__
    if getattr(corruptions, name).modality == "image"
]


def facts(size=32):
    return InputFacts.plain("image", (3, size, size), ("red", "green", "blue"))


def pictures(count=40, size=32):
    """Smooth pictures with noise: what blurs and compression take away is there."""
    random = np.random.default_rng(0)
    ramp = np.linspace(40, 200, size)
    base = ramp[None, None, :, None] + random.normal(0, 25, (count, 3, size, size))
    return base.clip(0, 255).astype(np.uint8)


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.mark.parametrize("kind", IMAGE)
@pytest.mark.parametrize("size", [32, 64])
def test_contract(kind, size):
    damage, images, about = kind(), pictures(6, size), facts(size)
    before, changed = images.copy(), []
    assert len(damage.amounts(about)) == 5
    for severity in range(6):
        found = damage(images, severity, rng(), about)
        np.testing.assert_array_equal(images, before)
        assert (found.shape, found.dtype) == (images.shape, np.uint8)
        np.testing.assert_array_equal(found, damage(images, severity, rng(), about))
        changed.append(float(np.abs(found.astype(float) - images).mean()))
    assert changed[0] == 0 < changed[1]
    if kind.__name__ != "Saturation":  # which goes both ways, as published
        assert changed == sorted(changed)
    with pytest.raises(UserError, match="damages images, and the data set holds signals"):
        damage.refuse(InputFacts.plain("signal", (1, 9), ("a",)))


def test_amounts_are_those_of_the_published_sets():
    noise = corruptions.GaussianNoise()
    assert noise.amounts(facts(32))[4] == 0.10  # CIFAR-10-C
    assert noise.amounts(facts(64))[4] == 0.18  # Tiny-ImageNet-C
    assert noise.amounts(facts(224))[4] == 0.38  # ImageNet-C


def test_noises_have_their_spread():
    grey = np.full((50, 3, 32, 32), 128, np.uint8)
    added = corruptions.GaussianNoise()(grey, 3, rng(), facts()).astype(float) - 127.5
    assert added.std() == pytest.approx(0.08 * 255, rel=0.01)
    counted = corruptions.ShotNoise()(grey, 5, rng(), facts()) / 255
    assert counted.std() == pytest.approx((128 / 255 / 50) ** 0.5, rel=0.02)
    speckled = corruptions.SpeckleNoise()(grey, 5, rng(), facts()) / 128
    assert speckled.std() == pytest.approx(0.2, rel=0.02)


def test_impulses_are_a_share_of_the_values_and_leave_the_rest():
    images = np.clip(pictures(), 1, 254)
    found = corruptions.ImpulseNoise()(images, 5, rng(), facts())
    gone = found != images
    assert gone.mean() == pytest.approx(0.07, rel=0.05)
    assert set(np.unique(found[gone])) == {0, 255}
    assert (found[gone] == 255).mean() == pytest.approx(0.5, abs=0.02)


def test_brightness_and_saturation_are_those_of_hue_saturation_and_value():
    images = pictures(1)[:, :, ::8, ::8]
    about = InputFacts.plain("image", (3, 4, 4), ("red", "green", "blue"))
    images[0, :, 0, 0], images[0, :, 0, 1] = 0, 90  # black and grey
    for kind, severity, change in (
        (corruptions.Brightness(), 4, lambda h, s, v: (h, s, min(v + 0.2, 1))),
        (corruptions.Saturation(), 1, lambda h, s, v: (h, s * 0.3, v)),
        (corruptions.Saturation(), 5, lambda h, s, v: (h, min(s * 2.5 + 0.2, 1), v)),
    ):
        found = kind(images, severity, rng(), about)
        for row in range(4):
            for column in range(4):
                old = (images[0, :, row, column] / 255).tolist()
                new = colorsys.hsv_to_rgb(*change(*colorsys.rgb_to_hsv(*old)))
                np.testing.assert_allclose(found[0, :, row, column], 255 * np.array(new), atol=1)


def test_contrast_is_drawn_to_the_mean():
    images = pictures(3)
    found = corruptions.LowContrast()(images, 2, rng(), facts()).astype(float)
    mean = images.mean(axis=(2, 3), keepdims=True)
    np.testing.assert_allclose(found, mean + 0.5 * (images - mean), atol=1)


def test_blurs_against_a_slow_sum():
    images = pictures(1)
    disc = _disc(1.5, 0.1)
    assert disc.sum() == pytest.approx(1)
    assert disc.shape == (3, 3)
    np.testing.assert_allclose(disc, np.full((3, 3), 1 / 9), atol=1e-6)
    found = corruptions.DefocusBlur()(images, 5, rng(), facts())
    padded = np.pad(images[0].astype(float), [(0, 0), (1, 1), (1, 1)], mode="reflect")
    by_hand = sum(padded[:, i : i + 32, j : j + 32] for i in range(3) for j in range(3)) / 9
    np.testing.assert_allclose(found[0], by_hand, atol=1.01)
    point = np.zeros((1, 3, 33, 33), np.uint8)
    point[..., 16, 16] = 255
    spot = corruptions.GaussianBlur()(point, 5, rng(), facts(33))[0, 0] / 255
    assert spot[16, 16] == pytest.approx(1 / (2 * np.pi), abs=0.005)
    assert spot[16, 17] / spot[16, 16] == pytest.approx(np.exp(-0.5), abs=0.03)


def test_fog_is_a_cloud_that_gets_thicker():
    clouds = _clouds(20, 32, 2.0, rng())
    assert clouds.min() == 0
    assert clouds.max() == 1
    smooth = np.abs(np.diff(_clouds(20, 32, 3.0, rng()), axis=1)).mean()
    rough = np.abs(np.diff(_clouds(20, 32, 1.5, rng()), axis=1)).mean()
    assert smooth < 0.7 * rough
    # the middle of the square is the mean of its corners, before anything is added
    no_swing = type("Still", (), {"uniform": lambda self, low, high, shape: np.full(shape, high)})()
    assert _clouds(1, 2, 2.0, no_swing).shape == (1, 2, 2)
    images = pictures(5)
    brightest = images.max(axis=(1, 2, 3)) / 255
    found = corruptions.Fog()(images, 5, rng(), facts()) / 255
    assert (found.max(axis=(1, 2, 3)) <= brightest + 1e-6).all()
    assert found.std() < (images / 255).std()


def test_recoded_pictures_are_those_of_pillow():
    images = pictures(2)
    file = io.BytesIO()
    Image.fromarray(images[1].transpose(1, 2, 0)).save(file, "JPEG", quality=40)
    wanted = np.asarray(Image.open(file)).transpose(2, 0, 1)
    found = corruptions.JpegCompression()(images, 5, rng(), facts())
    np.testing.assert_array_equal(found[1], wanted)
    boxes = corruptions.Pixelation()(images, 5, rng(), facts())  # 20 pixels a side
    assert len(np.unique(boxes[0, 0], axis=0)) <= 20
    assert boxes.mean() == pytest.approx(images.mean(), abs=1)
