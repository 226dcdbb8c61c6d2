"""Mean and deviation keep their digits at every scale and offset."""

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest

from tutelage.moments import Moments, resolution

X = np.random.default_rng(0).normal(size=(2, 500))
SCALES = [10.0**k for k in range(-12, 13, 3)]


def moments(values, cuts=(0, 7, 100, 101, 500)):
    seen = Moments()
    for a, b in pairwise(cuts):
        seen.add(values[:, a:b])
    return seen


def exact(row):
    """Mean and standard deviation of the very numbers, in fractions."""
    numbers = [Fraction(float(v)) for v in row]
    mean = sum(numbers) / len(numbers)
    variance = sum((v - mean) ** 2 for v in numbers) / len(numbers)
    return float(mean), float(variance) ** 0.5


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("offset", [0.0, 1.0, -1e4, 1e8, 1e12])
def test_equals_exact_arithmetic(scale, offset):
    values = (X + offset) * scale
    seen = moments(values)
    for row in range(2):
        mean, std = exact(values[row])
        assert seen.mean[row] == pytest.approx(mean, rel=1e-13, abs=1e-13 * scale)
        assert seen.std[row] == pytest.approx(std, rel=1e-12)
    np.testing.assert_array_equal(seen.largest, np.abs(values).max(axis=1))
    assert seen.count == 500


@pytest.mark.parametrize("value", [0.0, 0.1, -3.7, 101325.0, 1e-13, 1e12 / 3])
def test_a_constant_deviates_by_rounding_alone(value):
    seen = moments(np.full((1, 500), value))
    assert seen.std[0] <= resolution(np.float64) * abs(value)
    assert seen.mean[0] == pytest.approx(value, rel=1e-15)


def test_resolution():
    assert resolution(np.float32) == np.finfo(np.float32).eps
    assert resolution(np.float64) == resolution(np.uint8) == 8 * np.finfo(np.float64).eps
