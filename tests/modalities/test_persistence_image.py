"""Persistence images against persim, against the published recipes, and against their own laws."""

import pickle
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from persim import PersImage
from scipy.stats import norm
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from tutelage.errors import UserError
from tutelage.modalities import PUBLISHED, PersistenceImage, SublevelPersistence, published

GOLDEN = np.array([0.5, 0.1, 0.6, 0.3, 0.9, 0.2, 0.8, 0, 0.7])[None, None]


def walks(count, channels=2, length=100, seed=0):
    steps = np.random.default_rng(seed).normal(size=(count, channels, length))
    return np.clip(0.5 + 0.05 * np.cumsum(steps, axis=2), 0, 1)


def persim_image(line, recipe):
    """Do what the published notebooks do, with persim itself."""
    points = SublevelPersistence(essential="drop").fit_transform(line[None, None]).of(0)
    points = points[points[:, 1] - points[:, 0] > recipe["min_persistence"]]
    if len(points) == 0:
        return np.zeros(recipe["resolution"])
    low, high = recipe["birth_range"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        maker = PersImage(
            pixels=recipe["resolution"],
            spread=recipe["sigma"],
            specs={"minBD": low, "maxBD": high},
            verbose=False,
        )
    image = maker.transform(points)
    return image / image.max() if image.max() > 0 else image


def reference(points, image):
    """Integrate every point over every cell in float64, without tables."""
    rows, columns = image.resolution
    left, right = image.birth_range_
    low, high = image.persistence_range_
    sx, sy = image.sigma_
    births, lives = points[:, 0], np.abs(points[:, 1] - points[:, 0])
    px = np.diff(norm.cdf(np.linspace(left, right, columns + 1)[:, None], births, sx), axis=0)
    py = np.diff(norm.cdf(np.linspace(low, high, rows + 1)[:, None], lives, sy), axis=0)
    return ((py * lives) @ px.T)[::-1]


@pytest.mark.parametrize("name", ["tda_kd_pamap2", "geneactiv"])
def test_published_signal_recipes_equal_persim(name):
    scale = 1 if name == "tda_kd_pamap2" else 4
    x = (walks(12) - (0 if scale == 1 else 0.5)) * scale
    images = published(name).fit_transform(x)
    for n in range(12):
        for c in range(2):
            assert np.abs(images[n, c] - persim_image(x[n, c], PUBLISHED[name])).max() < 1e-6


def test_published_picture_recipe_equals_persim():
    rng = np.random.default_rng(3)
    x = rng.integers(0, 256, (4, 3, 8, 8)).astype(np.uint8)
    x[0] //= 8  # dark: inside of the ranges
    x[1] = 80 + x[1] // 8  # brighter: every point lies outside, only blown-up tails remain
    x[2] = 200 + x[2] // 8  # so bright that float64 has no tails either
    images = published("tgd_cifar10").fit_transform(x)
    assert images.dtype == np.uint8 and images.shape == (4, 6, 50, 50)
    for n in range(4):
        for c in range(3):
            plane = x[n, c] / 255
            for k, line in enumerate((plane.ravel(), plane.T.ravel())):
                expected = persim_image(line, PUBLISHED["tgd_cifar10"])
                found = images[n, 3 * k + c].astype(int)
                assert np.abs(found - np.trunc(255 * expected)).max() <= 1


def test_golden_vector_pamap2():
    image = published("tda_kd_pamap2")
    assert np.isclose(image.fit_transform(GOLDEN)[0, 0].sum(), 9.02485983708824, rtol=1e-6)
    raw = image.set_params(normalize="none").fit_transform(GOLDEN)[0, 0]
    assert np.unravel_index(raw.argmax(), raw.shape) == (13, 34)
    assert np.isclose(raw.max(), 0.11269389711566, rtol=1e-6)
    assert np.isclose(raw.sum(), 1.01704662594417, rtol=1e-6)


def test_golden_vector_cifar():
    image = published("tgd_cifar10").set_params(dtype="float32", normalize="none")
    raw = image.fit_transform(GOLDEN)[0, 0]
    assert np.unravel_index(raw.argmax(), raw.shape) == (0, 49)
    # these come from ripser's float32 values, and the point lies on the edge of the image, where
    # 1e-8 of birth is 1e-6 of the pixel
    assert np.isclose(raw.max(), 0.01911060501569, rtol=2e-6)
    assert np.isclose(raw.sum(), 0.19082631673401, rtol=2e-6)


@pytest.mark.parametrize("sigma", [0.002, 0.015, (0.1, 0.02), 0.6, None])
@pytest.mark.parametrize("filtration", ["sublevel", "superlevel"])
def test_image_is_the_integral_over_its_cells(sigma, filtration):
    x = walks(6, seed=4)
    rule = {"filtration": filtration, "sigma": sigma, "resolution": (21, 33)}
    image = PersistenceImage(**rule, normalize="none").fit(x)
    found = image.transform(x)
    diagrams = SublevelPersistence(filtration=filtration, essential="drop").fit_transform(x)
    for n in range(6):
        for c in range(2):
            expected = reference(diagrams.of(n, c), image)
            assert np.abs(found[n, c] - expected).max() < 1e-6 * max(expected.max(), 1e-3)


def test_pictures_have_an_image_of_components_and_one_of_holes():
    x = np.random.default_rng(5).normal(size=(3, 2, 16, 16))
    image = PersistenceImage(dimensions=(0, 1), resolution=(16, 16), normalize="none").fit(x)
    found = image.transform(x)
    names = image.channel_names()
    assert found.shape == (3, 4, 16, 16) and len(names) == 4
    diagrams = SublevelPersistence(dimensions=(0, 1), essential="drop").fit_transform(x)
    for c in range(2):
        for d in (0, 1):
            where = names.index(f"ch{c}_H{d}_sublevel_plane")
            expected = reference(diagrams.of(1, c, d), image)
            assert np.abs(found[1, where] - expected).max() < 1e-6 * expected.max()
    holes = PersistenceImage(**image.get_params()).set_params(
        dimensions=(1,), birth_range=image.birth_range_, persistence_range=image.persistence_range_
    )
    assert np.array_equal(holes.fit_transform(x), found[:, 2:])


def test_blocks_are_ordered_by_reading_and_filtration():
    x = np.random.default_rng(6).random((2, 3, 6, 5))
    ranges = {"birth_range": (0, 1), "persistence_range": (0, 1), "resolution": 8}
    found = PersistenceImage(reading="rows+columns", filtration="both", **ranges).fit_transform(x)
    assert found.shape == (2, 12, 8, 8)
    lines = {"rows": x.reshape(2, 3, -1), "columns": x.swapaxes(2, 3).reshape(2, 3, -1)}
    blocks = [(r, f) for r in ("rows", "columns") for f in ("sublevel", "superlevel")]
    for k, (reading, filtration) in enumerate(blocks):
        one = PersistenceImage(filtration=filtration, **ranges).fit_transform(lines[reading])
        assert np.array_equal(found[:, 3 * k : 3 * k + 3], one)


def test_row_0_is_the_highest_persistence():
    x = np.array([0, 1, 0.5, 1, 0.0])[None, None]  # pairs (0, 1) and (0.5, 1)
    rule = {"birth_range": (0, 1), "persistence_range": (0, 1.1), "resolution": 11, "sigma": 0.01}
    image = PersistenceImage(**rule).fit_transform(x)[0, 0]
    assert np.unravel_index(image.argmax(), image.shape)[0] == 0 or image[:3].sum() > 0
    peak = np.argwhere(image > 0.4).tolist()
    assert peak[0][0] < peak[-1][0] and peak[0][1] < peak[-1][1]  # longest first, and leftmost


@settings(max_examples=25, deadline=None, derandomize=True)
@given(st.integers(0, 10_000))
def test_mass_is_kept_and_halving_pixels_sums_blocks(seed):
    x = walks(2, 1, 40, seed)
    rule = {"birth_range": (-1, 2), "persistence_range": (-1, 2), "sigma": 0.05}
    fine = PersistenceImage(resolution=(32, 48), normalize="none", **rule).fit_transform(x)
    blocks = fine.reshape(2, 1, 16, 2, 24, 2).sum(axis=(3, 5))
    half = PersistenceImage(resolution=(16, 24), normalize="none", **rule).fit_transform(x)
    assert (fine >= 0).all() and np.allclose(blocks, half, atol=2e-6)
    diagrams = SublevelPersistence(essential="drop").fit_transform(x)
    total = [
        diagrams.persistence[diagrams.offsets[n] : diagrams.offsets[n + 1]].sum() for n in (0, 1)
    ]
    assert np.allclose(fine.sum(axis=(1, 2, 3)), total, rtol=1e-5, atol=1e-6)


def test_normalisations():
    x = walks(5)
    assert np.allclose(PersistenceImage().fit_transform(x).max(axis=(2, 3)), 1)
    assert np.allclose(PersistenceImage(normalize="sum").fit_transform(x).sum(axis=(2, 3)), 1)
    rule = {"birth_range": (0, 1), "persistence_range": (0, 1), "normalize": "none"}
    plain = PersistenceImage(**rule).fit_transform(x)
    linear = PersistenceImage(weight="linear", **rule).fit_transform(x)
    diagrams = SublevelPersistence(essential="drop").fit_transform(x)
    longest = diagrams.persistence[diagrams.offsets[0] : diagrams.offsets[1]][
        diagrams.channel[: diagrams.offsets[1]] == 0
    ].max()
    assert np.allclose(plain[0, 0] / longest, linear[0, 0], rtol=1e-5)
    flat = PersistenceImage(weight="constant", sigma=0.01, **rule).fit_transform(x)
    assert flat[0, 0].sum() > plain[0, 0].sum()


def test_bytes_are_the_truncated_float_image():
    x = walks(20)
    image = PersistenceImage().fit_transform(x)
    small = PersistenceImage(dtype="uint8").fit_transform(x)
    assert np.array_equal(small, np.trunc(np.float32(255) * image).astype(np.uint8))
    assert small.max() == 255


def test_empty_diagram_is_a_zero_image():
    x = np.stack([np.zeros((1, 30)), np.linspace(0, 1, 30)[None], walks(1, 1, 30)[0]])
    images = PersistenceImage().fit(x).transform(x)
    assert not images[:2].any() and images[2].any()
    assert not PersistenceImage().fit_transform(x[:2]).any()
    assert PersistenceImage().fit(x).diagnostics["empty_diagrams"] == pytest.approx(2 / 3)


def test_ranges_come_from_training_samples_only():
    train, test = walks(10, seed=1), 3 * walks(10, seed=2) - 1
    image = PersistenceImage().fit(train)
    alone = image.transform(test[:1])
    assert np.array_equal(image.transform(test)[:1], alone)
    diagrams = SublevelPersistence(essential="drop").fit_transform(train)
    assert image.birth_range_ == (diagrams.birth.min(), diagrams.birth.max())
    assert image.persistence_range_ == (0.0, diagrams.persistence.max())
    state = image.fitted()
    image.transform(test)
    assert image.fitted() == state


def test_diagnostics_count_what_the_ranges_leave_out():
    x = np.array([0.0, 1, 0.5, 1, 0.2, 2, -1])[None, None]  # births 0, 0.5, 0.2; lives 1, .5, 1.8
    rule = {"birth_range": (0.1, 1), "persistence_range": (0, 5)}
    found = PersistenceImage(**rule).fit(x).diagnostics
    lives = SublevelPersistence(essential="drop").fit_transform(x)
    outside = (lives.birth < 0.1) | (lives.birth > 1)
    assert found["points_outside"] == pytest.approx(outside.mean())
    share = lives.persistence[outside].sum() / lives.persistence.sum()
    assert found["persistence_outside"] == pytest.approx(share)
    assert found["points_per_diagram"] == 3


def test_threads_pieces_and_given_output_do_not_change_a_bit():
    x = walks(700, 3, 60)
    image = PersistenceImage().fit(x)
    whole = image.transform(x)
    assert np.array_equal(whole, clone(image).set_params(n_jobs=2).fit(x).transform(x))
    assert np.array_equal(
        whole, np.concatenate([image.transform(x[a : a + 97]) for a in range(0, 700, 97)])
    )
    out = np.full_like(whole, 7)
    assert image.transform(x, out=out) is out and np.array_equal(whole, out)
    by_pieces = clone(image).fit_chunks(x[a : a + 100] for a in range(0, 700, 100))
    assert by_pieces.fitted() == image.fitted() and by_pieces.diagnostics == image.diagnostics


def test_estimator_form():
    x = walks(4)
    image = PersistenceImage(resolution=[8, 8], sigma=0.1)
    copy = clone(image)
    assert copy.get_params() == image.get_params() and copy.fit(x) is copy
    again = pickle.loads(pickle.dumps(copy))
    assert np.array_equal(again.transform(x), copy.transform(x))
    restored = clone(image).restore(copy.fitted())
    assert np.array_equal(restored.transform(x), copy.transform(x))


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ({"filtration": "sub"}, "filtration: unknown choice 'sub'"),
        ({"dtype": "uint8", "normalize": "none"}, "255 must stand for"),
        ({"dimensions": (0, 1)}, "a line has no holes"),
        ({"dimensions": (2,)}, "dimensions"),
        ({"min_persistence": -1}, ">= 0"),
        ({"birth_range": (1, 0)}, "low < high"),
        ({"sigma": 0.0}, "sigma"),
        ({"sigma": 1e4}, "sigma"),
        ({"resolution": 0}, "resolution"),
        ({"n_jobs": 0}, "n_jobs"),
    ],
)
def test_refused_parameters(parameters, sentence):
    with pytest.raises(UserError, match=sentence):
        PersistenceImage(**parameters).fit_transform(walks(2))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_refused_values(bad):
    x = walks(3)
    image = PersistenceImage().fit(x)
    x[1, 0, 5] = bad
    for call in (image.transform, image.fit):
        with pytest.raises(UserError, match=r"position \[1, 0, 5\]"):
            call(x)


def test_refused_shapes():
    image = PersistenceImage().fit(walks(2))
    with pytest.raises(UserError, match="a signal of 3 channels"):
        image.transform(walks(2, 3))
    with pytest.raises(UserError, match="no samples"):
        PersistenceImage().fit(np.empty((0, 2, 50)))
    with pytest.raises(UserError, match="out is"):
        image.transform(walks(2), out=np.empty((2, 2, 64, 64)))
    with pytest.raises(UserError, match="unknown recipe"):
        published("pamap2")


def test_transform_before_fit_is_refused():
    with pytest.raises(NotFittedError):
        PersistenceImage().transform(walks(1))
