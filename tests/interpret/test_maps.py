"""What maps look like: by hand, by loops, and what must not change them."""

import math

import pytest
import torch

from tests.interpret.doubles import inputs
from tutelage.interpret import complexity, pointing_game, sparseness


@pytest.mark.parametrize("shape", [(8,), (2, 4), (3, 4, 5)])
def test_one_place_and_all_places(shape):
    count = math.prod(shape)
    one = torch.zeros(3, count)
    one[[0, 1, 2], [0, count // 2, count - 1]] = torch.tensor([1.0, -5.0, 1e-3])
    one, even = one.view(3, *shape), torch.full((3, *shape), -0.5)
    torch.testing.assert_close(sparseness(one), torch.full((3,), 1 - 1 / count))
    torch.testing.assert_close(sparseness(even), torch.zeros(3), rtol=0, atol=1e-6)
    assert complexity(one).tolist() == [0.0, 0.0, 0.0]
    torch.testing.assert_close(complexity(even), torch.full((3,), math.log(count)))


def test_the_gini_coefficient_is_the_mean_difference_of_all_pairs():
    maps = inputs(4, 3, 5).double()
    for found, one in zip(sparseness(maps), maps.flatten(1).abs(), strict=True):
        pairs = sum(abs(a - b) for a in one.tolist() for b in one.tolist())
        assert found.item() == pytest.approx(pairs / (2 * 15**2 * one.mean().item()))


def test_entropy_by_the_slow_way():
    maps = inputs(4, 3, 5).double()
    for found, one in zip(complexity(maps), maps.flatten(1).abs().tolist(), strict=True):
        shares = [value / sum(one) for value in one]
        assert found.item() == pytest.approx(-sum(p * math.log(p) for p in shares))


@pytest.mark.parametrize("measure", [sparseness, complexity])
def test_size_sign_and_order_do_not_matter(measure):
    maps = inputs(4, 3, 5)
    for other in (7 * maps, -maps, maps.flip(1, 2), maps.flatten(1)):
        torch.testing.assert_close(measure(other), measure(maps))
    assert measure(torch.zeros(2, 3)).isnan().all()


def test_more_places_are_less_sparse_and_more_complex():
    maps = torch.tril(torch.ones(6, 6))  # one place, two places, ...
    assert (sparseness(maps).diff() < 0).all()
    assert (complexity(maps).diff() > 0).all()


def test_pointing_at_an_object_that_is_known():
    maps, inside = torch.zeros(4, 5, 6), torch.zeros(4, 5, 6, dtype=torch.bool)
    inside[:3, 1:3, 2:5] = True
    maps[0, 2, 4] = maps[1, 4, 4] = maps[3, 0, 0] = 1.0  # inside; two rows below; no object
    maps[2] = -1.0
    maps[2, 1, 2] = maps[2, 0, 0] = maps[2, 4, 5] = maps[2, 2, 5] = -0.5  # one of four is inside
    found = pointing_game(maps, inside)
    assert found[:3].tolist() == [1.0, 0.0, 0.25]
    assert found[3].isnan()
    assert pointing_game(maps, inside, tolerance=1.0)[:3].tolist() == [1.0, 0.0, 0.5]
    assert pointing_game(maps, inside, tolerance=2.0)[:3].tolist() == [1.0, 1.0, 0.5]
    chance = pointing_game(torch.zeros_like(maps), inside)
    assert chance[:3].tolist() == pytest.approx([0.2] * 3)


@pytest.mark.parametrize("space", [(9,), (6, 7)])
@pytest.mark.parametrize("tolerance", [0.0, 0.9, 1.0, 1.5, 2.3])
def test_pointing_with_a_tolerance_by_the_slow_way(space, tolerance):
    generator = torch.Generator().manual_seed(0)
    maps = torch.rand(30, *space, generator=generator)
    inside = torch.rand(30, *space, generator=generator) > 0.9
    found = pointing_game(maps, inside, tolerance=tolerance)
    for b in range(30):
        peak = torch.tensor([int(i) for i in torch.unravel_index(maps[b].argmax(), space)])
        objects = inside[b].nonzero()
        if not len(objects):
            assert found[b].isnan()
            continue
        near = (objects - peak).double().norm(dim=1).min().item() <= tolerance
        assert found[b].item() == float(near)


def test_wrong_arguments_are_refused():
    with pytest.raises(ValueError, match=r"maps \[2, 4\] and objects \[2, 5\] differ"):
        pointing_game(torch.zeros(2, 4), torch.zeros(2, 5, dtype=torch.bool))
    with pytest.raises(ValueError, match="tolerance: -1; allowed: 0 or more"):
        pointing_game(torch.zeros(2, 4), torch.ones(2, 4, dtype=torch.bool), tolerance=-1)
