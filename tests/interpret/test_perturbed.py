"""Infidelity and largest sensitivity: by hand, by loops, on networks that are known, and beside captum."""

import pytest
import torch

from tests.interpret.doubles import Asking, Linear, inputs
from tutelage.interpret import (
    contribution_map,
    infidelities,
    infidelity,
    max_sensitivity,
    noise,
    removal,
)
from tutelage.interpret.grad_cam import grad_cam
from tutelage.models import WideResNet

CLASSES = torch.tensor([0, 3, 1, 2])


def gradient(network):
    def explain(x, classes):
        x = x.detach().clone().requires_grad_()
        score = network(x).logits.gather(1, classes[:, None]).sum()
        return torch.autograd.grad(score, x)[0]

    return explain


def logits_of(network):
    return lambda z: network(z).logits


def given(pairs):
    """A perturbation that was drawn before."""
    rest = iter(pairs)
    return lambda x, generator: next(rest)


SHAPES = [(4, 3, 6), (4, 2, 4, 6)]


@pytest.mark.parametrize("shape", SHAPES)
def test_the_gradient_of_a_linear_network_has_no_infidelity(shape):
    network, x = Linear(shape[1], shape[2:], 4).double(), inputs(*shape).double()
    right = gradient(network)(x, CLASSES)
    found = infidelity(logits_of(network), x, right, CLASSES, noise(0.5))
    assert found.change.min() > 1e-2
    assert found.error.max() < 1e-20
    doubled = infidelity(logits_of(network), x, 2 * right, CLASSES, noise(0.5))
    torch.testing.assert_close(doubled.error, found.change)  # it claims twice what is lost
    assert doubled.unexplained.max() < 1e-12


@pytest.mark.parametrize("shape", SHAPES)
def test_contributions_of_a_linear_network_have_none_when_places_go(shape):
    network, x = Linear(shape[1], shape[2:], 4).double(), inputs(*shape).double()
    parts = contribution_map(network.explain(x), CLASSES)
    found = infidelity(logits_of(network), x, parts, CLASSES, removal(shape[2:]))
    assert found.change.min() > 1e-2
    assert found.error.max() < 1e-20


def test_by_hand():
    # the score of class 0 is x1², of class 1 is -x2; each entry goes to 0 in turn
    def logits(z):
        return torch.stack([z[:, 0, 0] ** 2, -z[:, 0, 1]], dim=1)

    x = torch.tensor([[[3.0, 1.0]], [[3.0, 1.0]]])
    one, two = torch.tensor([3.0, 0.0]).expand(2, 1, 2), torch.tensor([0.0, 1.0]).expand(2, 1, 2)
    taken = given([(one, x - one), (two, x - two)])
    explanation = torch.tensor([[[2.0, 1.0]], [[0.0, -1.0]]])
    found = infidelity(logits, x, explanation, torch.tensor([0, 1]), taken, count=2)
    # sample 0: claimed 6 and 1, lost 9 and 0; best factor 54/37. Sample 1: claimed 0 and -1, lost 0 and -1.
    assert found.error.tolist() == [5.0, 0.0]
    assert found.change.tolist() == [40.5, 0.5]
    assert found.scaled[0].item() == pytest.approx((81 - 54**2 / 37) / 2)
    assert found.unexplained.tolist() == pytest.approx([1 - 54**2 / 37 / 81, 0.0])


def test_a_network_that_nothing_moves_and_an_explanation_that_says_nothing():
    x = inputs(2, 1, 4)
    zero, some = torch.zeros(2, 4), torch.ones(2, 4)

    def still(z):
        return torch.zeros(len(z), 2)

    classes = torch.zeros(2, dtype=torch.long)
    found = infidelity(still, x, some, classes, removal((4,), 0.5))
    assert found.error.tolist() == [4.0, 4.0]  # it claims 2 of 4 places, and nothing is lost
    assert found.unexplained.isnan().all()
    silent = infidelity(lambda z: z.flatten(1), x, zero, classes, removal((4,), 0.5))
    assert torch.equal(silent.error, silent.change)
    assert silent.unexplained.tolist() == [1.0, 1.0]


@pytest.mark.parametrize("rows", [1, 9, 1000])
@pytest.mark.parametrize("shape", SHAPES)
def test_infidelity_by_the_slow_way_whatever_the_rows(shape, rows):
    network, x, base = Asking(shape[1], shape[2:], 4, seed=3), inputs(*shape), inputs(1, *shape[1:])
    space = (3,) if len(shape) == 3 else (2, 3)
    explanation = inputs(4, *space, seed=8)
    perturb = removal(space, 0.4, base)
    found = infidelity(
        logits_of(network), x, explanation, CLASSES, perturb, count=7, rows=rows, seed=5
    )
    generator = torch.Generator().manual_seed(5)
    drawn = [perturb(x, generator) for _ in range(7)]
    for b in range(4):
        error = change = 0.0
        for gone, changed in drawn:
            assert gone[b].sum() == round(0.4 * gone[b].numel())
            score, after = (
                network(z[b : b + 1]).logits[0, CLASSES[b]].item() for z in (x, changed)
            )
            claimed = sum(explanation[b].flatten()[i].item() for i in gone[b].flatten().nonzero())
            error += (claimed - (score - after)) ** 2 / 7
            change += (score - after) ** 2 / 7
        assert found.error[b].item() == pytest.approx(error, rel=1e-4)
        assert found.change[b].item() == pytest.approx(change, rel=1e-4)


def test_places_that_go_are_blotted_out_and_others_stay():
    x, base = inputs(5, 2, 7), inputs(1, 2, 7, seed=4)
    gone, changed = removal((3,), 0.3, base)(x, torch.Generator().manual_seed(0))
    assert gone.sum(dim=1).tolist() == [1.0] * 5
    for b in range(5):
        for position in range(7):
            source = base[0] if gone[b, position * 3 // 7] else x[b]
            assert torch.equal(changed[b, :, position], source[:, position])


def test_several_explanations_are_each_what_they_are_alone():
    network, x = Asking(3, (6,), 4), inputs(4, 3, 6)
    maps = {"one": inputs(4, 6, seed=2), "two": inputs(4, 6, seed=3)}
    asked = []

    def logits(z):
        asked.append(len(z))
        return network(z).logits

    both = infidelities(logits, x, maps, CLASSES, removal((6,)), rows=40)
    assert sum(asked) == 4 + 32 * 4 and max(asked) == 40
    for name, explanation in maps.items():
        alone = infidelity(logits, x, explanation, CLASSES, removal((6,)), rows=40)
        assert torch.equal(both[name].error, alone.error)
        assert torch.equal(both[name].scaled, alone.scaled)


def network_of(dimensions):
    torch.manual_seed(0)
    return WideResNet(3, 4, depth=10, dimensions=dimensions).eval()


@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("dimensions", [1, 2])
def test_infidelity_is_that_of_captum(dimensions, normalize):
    metrics = pytest.importorskip("captum.metrics")
    network, x = network_of(dimensions), inputs(4, 3, *[16] * dimensions)
    logits, explanation = logits_of(network), gradient(network)(x, CLASSES)
    generator = torch.Generator().manual_seed(1)
    drawn = [noise(0.3)(x, generator) for _ in range(6)]
    found = infidelity(logits, x, explanation, CLASSES, given(drawn), count=6, rows=10)

    def theirs(z):  # repeats each sample 6 times in a row
        taken, changed = (
            torch.stack(part, dim=1).flatten(0, 1) for part in zip(*drawn, strict=True)
        )
        assert changed.shape == z.shape
        return taken, changed

    wanted = metrics.infidelity(
        logits, theirs, x, explanation, target=CLASSES, n_perturb_samples=6, normalize=normalize
    )
    own = found.scaled if normalize else found.error
    torch.testing.assert_close(own.float(), wanted, rtol=1e-4, atol=1e-8)
    assert wanted.min() > 0


@pytest.mark.parametrize("dimensions", [1, 2])
def test_largest_sensitivity_is_that_of_captum(dimensions):
    metrics = pytest.importorskip("captum.metrics")
    network, x = network_of(dimensions), inputs(4, 3, *[16] * dimensions)
    found = max_sensitivity(gradient(network), x, CLASSES, radius=0.2, count=5, rows=8, seed=3)
    generator = torch.Generator().manual_seed(3)
    drawn = [0.2 * (2 * torch.rand(x.shape, generator=generator) - 1) for _ in range(5)]

    def explain(z, target):  # what comes in a tuple is asked for in one
        (inner,) = z if isinstance(z, tuple) else (z,)
        with torch.enable_grad():
            found = gradient(network)(inner, target)
        return (found,) if isinstance(z, tuple) else found

    wanted = metrics.sensitivity_max(
        explain, x, lambda z: z + torch.stack(drawn, dim=1).flatten(0, 1),
        n_perturb_samples=5, target=CLASSES,
    )  # fmt: skip
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-6)
    assert wanted.min() > 0.01


@pytest.mark.parametrize("shape", SHAPES)
def test_an_explanation_that_stays_has_no_sensitivity(shape):
    network, x = Linear(shape[1], shape[2:], 4), inputs(*shape)
    found = max_sensitivity(gradient(network), x, CLASSES)  # of a linear network it is constant
    assert torch.equal(found, torch.zeros(4))


def test_the_input_as_its_own_explanation_moves_by_the_noise_and_never_more_than_the_radius():
    x = torch.full((3, 2, 8), 2.0)
    found = max_sensitivity(lambda z, classes: z, x, CLASSES[:3], radius=0.5, count=200)
    assert (found <= 0.25).all()  # all entries at the end of the ball: 0.5 / 2
    assert (found > 0.5 * 0.25).all()
    few = max_sensitivity(lambda z, classes: z, x, CLASSES[:3], radius=0.5, count=2)
    assert (few <= found).all()


@pytest.mark.parametrize("rows", [1, 7, 1000])
def test_largest_sensitivity_by_the_slow_way_whatever_the_rows(rows):
    network, x = network_of(1), inputs(4, 3, 16)

    def explain(z, classes):
        return grad_cam(network, z, classes)[0]

    found = max_sensitivity(explain, x, CLASSES, count=5, rows=rows, seed=2)
    generator = torch.Generator().manual_seed(2)
    drawn = [0.1 * (2 * torch.rand(x.shape, generator=generator) - 1) for _ in range(5)]
    for b in range(4):
        own = CLASSES[b : b + 1]
        here = explain(x[b : b + 1], own)
        moved = max(float((explain((x + d)[b : b + 1], own) - here).norm()) for d in drawn)
        assert found[b].item() == pytest.approx(moved / float(here.norm()), rel=1e-3)


def test_an_explanation_of_nothing_has_no_relative_size():
    found = max_sensitivity(lambda z, classes: z.clamp_min(0), torch.zeros(1, 1, 4), CLASSES[:1])
    assert found.isnan().all()


def test_wrong_arguments_are_refused():
    x, classes = inputs(4, 3, 6), CLASSES

    def logits(z):
        return z.flatten(1)

    with pytest.raises(ValueError, match=r"explanation: \[4, 6\]; allowed: \[4, 3, 6\]"):
        infidelity(logits, x, torch.zeros(4, 6), classes, noise())
    with pytest.raises(ValueError, match=r"places: \[9\] on inputs of \[6\] positions"):
        infidelity(logits, x, torch.zeros(4, 9), classes, removal((9,)))
    with pytest.raises(ValueError, match="count: 0; allowed: 1 or more"):
        infidelity(logits, x, x, classes, noise(), count=0)
    with pytest.raises(ValueError, match="radius: 0; allowed: above 0"):
        max_sensitivity(lambda z, c: z, x, classes, radius=0)
    with pytest.raises(ValueError, match="scale: -1"):
        noise(-1)
    with pytest.raises(ValueError, match=r"part: 1\.5; allowed: above 0, at most 1"):
        removal((6,), 1.5)
