"""The differentiable layer against ``transform``, finite differences and plain autograd."""

import copy
import math

import numpy as np
import pytest
import torch

from tutelage.errors import UserError
from tutelage.modalities import PersistenceImage
from tutelage.modalities.layer import PersistenceImageLayer
from tutelage.modalities.topology.line import line_pairs
from tutelage.modalities.topology.line_indices import line_indices
from tutelage.modalities.topology.profile import axis
from tutelage.modalities.topology.raster import read_profile

RULE = {
    "resolution": (12, 9),
    "sigma": (0.09, 0.07),
    "birth_range": (0.0, 1.0),
    "persistence_range": (0.0, 0.9),
    "min_persistence": 0.01,
}
CHOICES = [
    (filtration, weight, normalize)
    for filtration in ("sublevel", "superlevel")
    for weight in ("persistence", "linear", "constant")
    for normalize in ("none", "max")
]


def walks(count, channels=1, length=40, seed=0):
    steps = np.random.default_rng(seed).normal(size=(count, channels, length))
    return 0.5 + 0.08 * np.cumsum(steps, axis=2)


def fitted(x, **changes):
    return PersistenceImage(**{**RULE, **changes}).fit(x)


def upstream(layer, x, seed=1):
    shape = (*x.shape[:2], *layer.resolution)
    return torch.randn(shape, generator=torch.manual_seed(seed))


def gradient(layer, x):
    signals = torch.tensor(x, requires_grad=True)
    layer(signals).backward(upstream(layer, x))
    return signals.grad.numpy()


def naive_pairs(line):
    """Merge the components of sublevel sets sample by sample, in the order (value, index)."""
    pairs, seen = [], set()
    component = list(range(len(line)))  # named by its lowest sample
    for i in sorted(range(len(line)), key=lambda i: (line[i], i)):
        seen.add(i)
        for j in {i - 1, i + 1} & seen:
            older, younger = sorted((component[i], component[j]), key=lambda k: (line[k], k))
            if older != younger:
                pairs.append((younger, i))
            component = [older if k == younger else k for k in component]
    starts = [i if i == 0 or line[i] != line[i - 1] else -1 for i in range(len(line))]
    starts = np.maximum.accumulate(starts)  # the first sample of every plateau
    return [(b, int(starts[d])) for b, d in pairs if line[d] > line[b]]


def oracle(image, signals):
    """The image in float64 from explicit pairs, differentiable by autograd alone."""
    sign = 1 if image.filtration == "sublevel" else -1
    rows, columns = image.resolution
    edges = [
        torch.linspace(*span, cells + 1, dtype=torch.float64)
        for span, cells in ((image.birth_range_, columns), (image.persistence_range_, rows))
    ]
    found = []
    for line in signals.reshape(-1, signals.shape[-1]):
        points = []
        for b, d in naive_pairs((sign * line).tolist()):
            life = sign * (line[d] - line[b])
            if life > image.min_persistence:
                points.append((line[b], life))
        canvas = torch.zeros(rows, columns, dtype=torch.float64) + 0 * line.sum()
        for birth, life in points:
            masses = [
                (torch.erf((e - value) / (s * math.sqrt(2))) / 2).diff()
                for e, value, s in zip(edges, (birth, life), image.sigma_, strict=True)
            ]
            weight = 1 if image.weight == "constant" else life
            canvas = canvas + weight * torch.outer(masses[1], masses[0])
        if image.normalize == "max" and points:
            canvas = canvas / canvas.max()
        elif image.weight == "linear" and points:
            canvas = canvas / torch.stack([life for _, life in points]).max()
        found.append(canvas.flip(0))
    return torch.stack(found).reshape(*signals.shape[:2], rows, columns)


def close(found, expected, tolerance):
    assert np.abs(expected).max() > 0
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * np.abs(expected).max())


@pytest.mark.parametrize(("filtration", "weight", "normalize"), CHOICES)
def test_layer_equals_transform_and_its_gradient_equals_autograd(filtration, weight, normalize):
    x = walks(4, channels=2)
    image = fitted(x, filtration=filtration, weight=weight, normalize=normalize)
    layer = PersistenceImageLayer(image)
    found = layer(torch.tensor(x))
    assert found.dtype == torch.float32
    np.testing.assert_array_equal(found.numpy(), image.transform(x))
    signals = torch.tensor(x, requires_grad=True)
    images = oracle(image, signals)
    np.testing.assert_allclose(found.numpy(), images.detach().numpy(), atol=2e-6)
    images.backward(upstream(layer, x).double())
    close(gradient(layer, x), signals.grad.numpy(), 2e-5)


@pytest.mark.parametrize(("filtration", "weight", "normalize"), CHOICES)
def test_gradient_equals_finite_differences(filtration, weight, normalize):
    rng = np.random.default_rng(5)
    # far apart, so that no step changes the order: no corner is met
    x = (rng.permutation(np.linspace(0, 1, 16)) + rng.uniform(0, 0.02, 16))[None, None]
    image = fitted(x, filtration=filtration, weight=weight, normalize=normalize)
    layer = PersistenceImageLayer(image)
    step, expected = 2e-3, np.zeros_like(x)
    for i in range(x.shape[2]):
        moves = np.zeros((4, 1, x.shape[2]))
        moves[:, 0, i] = np.array([-2, -1, 1, 2]) * step
        images = layer(torch.tensor(x + moves)).double()
        if normalize == "max":  # the pixel that divides stays the same
            assert len(images.flatten(1).argmax(dim=1).unique()) == 1
        sums = (images * upstream(layer, x)).sum(dim=(1, 2, 3))
        expected[0, 0, i] = sums.numpy() @ np.array([1, -8, 8, -1]) / (12 * step)
    close(gradient(layer, x), expected, 5e-4)


@pytest.mark.parametrize("sigma", [0.0005, 0.015, 0.1, 2.0])
def test_slopes_are_normal_densities_at_every_position(sigma):
    one = axis(0.0, 1.0, 64, sigma)
    table, read = one.derivative_table().ravel(), np.empty(one.reach, np.float32)
    largest = np.abs(table.reshape(-1, 2, one.reach)[:, 0]).max()
    for fraction in np.linspace(0, 1, 57, endpoint=False):
        read_profile(table, fraction, 1.0, read)
        lower = (one.first + np.arange(one.reach + 1) - fraction) * one.step / sigma
        density = np.exp(-0.5 * lower**2) / np.sqrt(2 * np.pi) / sigma
        np.testing.assert_allclose(read, -np.diff(density), rtol=0, atol=1e-6 * largest)


def test_pairs_are_those_of_the_value_kernel_and_of_sample_by_sample_merging():
    rng = np.random.default_rng(5)
    for _ in range(300):
        length = int(rng.integers(1, 25))
        line = rng.integers(0, 5, length).astype(float)  # many plateaus and ties
        pairs = np.empty((length // 2 + 1, 2), np.int32)
        count = line_indices(line, 0.0, np.empty((3, length + 2), np.int32), pairs)
        births, deaths = np.empty((2, length + 1))
        assert count == line_pairs(line, 1.0, 0.0, np.empty((3, length + 2)), births, deaths)
        np.testing.assert_array_equal(line[pairs[:count, 0]], births[:count])
        np.testing.assert_array_equal(line[pairs[:count, 1]], deaths[:count])
        assert sorted(map(tuple, pairs[:count].tolist())) == sorted(naive_pairs(line.tolist()))


def test_a_plateau_sends_its_gradient_to_its_first_sample():
    x = np.array([[[0.0, 0.6, 0.6, 0.2, 0.2, 0.2, 0.9, 0.9, 0.5]]])
    image = fitted(x)
    found = gradient(PersistenceImageLayer(image), x)[0, 0]
    assert np.flatnonzero(found).tolist() == [1, 3, 6, 8]
    np.testing.assert_array_equal(
        PersistenceImageLayer(image)(torch.tensor(x)).numpy(), image.transform(x)
    )


@pytest.mark.parametrize("normalize", ["max", "none"])
@pytest.mark.parametrize("line", [[0.4] * 6, [0.3], [0.1, 0.5, 0.9], [0.5, 0.505, 0.5]])
def test_a_signal_without_pairs_has_zero_image_and_zero_gradient(line, normalize):
    x = np.array([[line]])
    layer = PersistenceImageLayer(fitted(walks(2), normalize=normalize))
    assert not layer(torch.tensor(x)).any()
    assert not gradient(layer, x).any()


@pytest.mark.parametrize("normalize", ["max", "none"])
@pytest.mark.parametrize("birth", [-30.0, 30.0, 1e30])
def test_a_point_far_outside_leaves_nothing(birth, normalize):
    x = np.array([[[2 * birth, birth, birth + 0.5, -1e31]]])
    layer = PersistenceImageLayer(fitted(walks(2), normalize=normalize))
    assert not layer(torch.tensor(x)).any()
    assert not gradient(layer, x).any()


def test_points_at_every_edge_of_the_image_have_the_gradient_of_autograd():
    births = np.linspace(-0.3, 1.3, 9)
    lives = np.array([0.02, 0.2, 0.88, 1.1])
    x = np.array([[[b + v + 1, b, b + v, -9.0]] for b in births for v in lives])
    image = fitted(walks(2), normalize="none", sigma=0.05)
    signals = torch.tensor(x, requires_grad=True)
    layer = PersistenceImageLayer(image)
    oracle(image, signals).backward(upstream(layer, x).double())
    close(gradient(layer, x), signals.grad.numpy(), 2e-5)


def test_every_signal_is_computed_by_itself():
    x = walks(9, channels=3, seed=7)
    image = fitted(x)
    together = PersistenceImageLayer(image)
    signals = torch.tensor(x, requires_grad=True)
    given = upstream(together, x)
    together(signals).backward(given)
    for changed, a, b in ((image, 4, 5), (image.set_params(n_jobs=2), 0, 9)):
        part = torch.tensor(x[a:b], requires_grad=True)
        PersistenceImageLayer(changed)(part).backward(given[a:b])
        np.testing.assert_array_equal(part.grad, signals.grad[a:b])


def test_types_and_layouts_of_tensors():
    x = walks(3, channels=2).astype(np.float32)
    layer = PersistenceImageLayer(fitted(x))
    expected = gradient(layer, x)
    assert expected.dtype == np.float32
    turned = torch.tensor(x.transpose(2, 1, 0).copy(), requires_grad=True)
    layer(turned.permute(2, 1, 0)).backward(upstream(layer, x))
    np.testing.assert_array_equal(turned.grad.permute(2, 1, 0), expected)
    half = torch.tensor(x, dtype=torch.bfloat16, requires_grad=True)
    layer(half).sum().backward()  # the gradient of a sum arrives expanded, with strides 0
    assert half.grad.dtype == torch.bfloat16
    assert half.grad.isfinite().all()
    assert layer(torch.zeros(0, 2, 40)).shape == (0, 2, 12, 9)


def test_the_layer_keeps_the_settings_it_was_made_with():
    x = walks(3)
    image = fitted(x)
    layer = copy.deepcopy(PersistenceImageLayer(image))
    expected = image.transform(x)
    image.set_params(weight="constant", birth_range=(5.0, 6.0)).fit(x)
    np.testing.assert_array_equal(layer(torch.tensor(x)).numpy(), expected)
    assert not layer.state_dict()


def test_a_signal_changed_between_the_directions_is_noticed():
    x = walks(1)
    layer = PersistenceImageLayer(fitted(x))
    signals = torch.tensor(x, requires_grad=True) * 1
    images = layer(signals)
    signals += 1
    with pytest.raises(RuntimeError, match="inplace"):
        images.sum().backward()


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"filtration": "both"}, "found filtration 'both', allowed: 'sublevel' or 'superlevel'"),
        ({"normalize": "sum"}, "found normalize 'sum', allowed: 'max' or 'none'"),
        ({"dtype": "uint8"}, "found dtype 'uint8', allowed: 'float32'"),
        ({"cells": "persim"}, "found cells 'persim', allowed: 'full'"),
    ],
)
def test_settings_without_a_gradient_are_refused(changes, sentence):
    with pytest.raises(UserError, match=f"PersistenceImageLayer.image: {sentence}"):
        PersistenceImageLayer(fitted(walks(2), **changes))


def test_pictures_and_images_that_are_not_fitted_are_refused():
    with pytest.raises(UserError, match="found kind 'picture', allowed: 'signal'"):
        PersistenceImageLayer(fitted(walks(2)[:, None], reading="rows"))
    with pytest.raises(UserError, match="not fitted"):
        PersistenceImageLayer(PersistenceImage())


@pytest.mark.parametrize(
    ("signals", "sentence"),
    [
        (torch.zeros(2, 40), "shape"),
        (torch.zeros(2, 3, 40), "allowed: \\[batch, 1, time\\]"),
        (torch.zeros(2, 1, 0), "time not 0"),
        (torch.zeros(2, 1, 40, dtype=torch.int64), "allowed: a floating type"),
        (torch.full((2, 1, 40), torch.nan), "finite"),
    ],
)
def test_signals_that_mean_nothing_are_refused(signals, sentence):
    with pytest.raises(UserError, match=sentence):
        PersistenceImageLayer(fitted(walks(2)))(signals)
