from itertools import permutations

import pytest
import torch

from tests.interpret.doubles import Asking, Linear, inputs
from tutelage.interpret import (
    attention_map,
    compare,
    concept_curves,
    contribution_map,
    deletion,
    insertion,
)
from tutelage.interpret.places import place_of


def walked(network, start, end, ranking, c, steps, probability):
    """One sample, place by place and position by position."""
    space = ranking.shape
    size = start.shape[1:]
    order = sorted(range(ranking.numel()), key=lambda p: (-float(ranking.flatten()[p]), p))
    values, x = [], start.clone()

    def score():
        logits = network(x[None]).logits[0]
        return (logits.softmax(0) if probability else logits)[c]

    owner = place_of(size, space)
    values.append(score())
    done = 0
    for step in range(1, steps + 1):
        while done < round(step * len(order) / steps):
            for position in (owner == order[done]).nonzero().tolist():
                at = (slice(None), *position)
                x[at] = end[at]
            done += 1
        values.append(score())
    return torch.stack(values).detach()


@pytest.mark.parametrize("probability", [True, False])
@pytest.mark.parametrize(
    ("space", "shape", "steps"),
    [((6,), (3, 2, 6), 6), ((4,), (3, 2, 6), 3), ((2, 3), (3, 2, 4, 6), 4)],
)
def test_curves_by_the_slow_way(space, shape, steps, probability):
    network = Asking(2, shape[2:], 5, seed=3)
    x, ranking = inputs(*shape), inputs(shape[0], *space, seed=2)
    classes, base = torch.tensor([4, 0, 2]), inputs(1, *shape[1:], seed=5)
    score = "probability" if probability else "logit"
    for baseline in (None, base):
        blank = torch.zeros_like(x) if baseline is None else baseline.expand_as(x)
        falling, rising = (
            f(
                lambda z: network(z).logits,
                x,
                ranking,
                classes,
                baseline=baseline,
                steps=steps,
                score=score,
            )
            for f in (deletion, insertion)
        )
        for b in range(3):
            there = walked(network, x[b], blank[b], ranking[b], classes[b], steps, probability)
            back = walked(network, blank[b], x[b], ranking[b], classes[b], steps, probability)
            torch.testing.assert_close(falling.values[b], there)
            torch.testing.assert_close(rising.values[b], back)
    area = sum(
        (falling.fractions[i + 1] - falling.fractions[i])
        * (falling.values[:, i] + falling.values[:, i + 1])
        / 2
        for i in range(steps)
    )
    torch.testing.assert_close(falling.area, area)


def test_a_linear_network_loses_exactly_what_each_place_adds():
    network, x = Linear(3, (5,), 4), inputs(6, 3, 5)
    classes = torch.arange(6) % 4
    ranking = contribution_map(network.explain(x), classes)
    parts = torch.einsum("bmp,pmb->bp", x, network.weight[:, :, classes]).detach()
    torch.testing.assert_close(ranking, parts, rtol=1e-4, atol=1e-5)
    whole = network(x).logits[torch.arange(6), classes].detach()
    falling = deletion(lambda z: network(z).logits, x, ranking, classes, score="logit")
    wanted = whole[:, None] - parts.sort(dim=1, descending=True)[0].cumsum(dim=1)
    torch.testing.assert_close(falling.values[:, 1:], wanted, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(falling.values[:, 0], whole)
    assert falling.fractions.tolist() == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1.0])


def test_no_order_of_places_is_better_than_that_of_exact_contributions():
    network, x = Linear(2, (5,), 3, seed=4), inputs(2, 2, 5)
    classes = torch.tensor([2, 0])

    def logits(z):
        return network(z).logits

    best = contribution_map(network.explain(x), classes)
    low = deletion(logits, x, best, classes, score="logit").area
    high = insertion(logits, x, best, classes, score="logit").area
    for order in permutations(range(5)):
        ranking = torch.tensor(order, dtype=torch.float32).expand(2, 5)
        assert (deletion(logits, x, ranking, classes, score="logit").area >= low - 1e-4).all()
        assert (insertion(logits, x, ranking, classes, score="logit").area <= high + 1e-4).all()


def test_concept_curves_by_the_slow_way_and_against_every_order():
    network, x = Linear(4, (3,), 3, seed=6), inputs(5, 4, 3)
    classes = torch.tensor([0, 1, 2, 0, 1])
    explanation = network.explain(x)
    parts = explanation.streams["spatial"].contributions.sum(dim=1).detach()
    areas = {}
    for order in ("contribution", "attention", "random"):
        falling, rising = concept_curves(
            explanation, classes, order, score="logit", generator=torch.Generator().manual_seed(0)
        )
        areas[order] = falling.area
        assert falling.values.shape == (5, 5)
        torch.testing.assert_close(falling.values[:, -1], network.bias[classes])
        torch.testing.assert_close(rising.values[:, -1], falling.values[:, 0], rtol=1e-4, atol=1e-5)
    for b in range(5):
        whole, c = network(x[b : b + 1]).logits[0], classes[b]
        for probability in (False, True):
            score = "probability" if probability else "logit"
            falling, rising = concept_curves(explanation, classes, "contribution", score=score)
            order = parts[b, :, c].argsort(descending=True).tolist()
            for k in range(5):
                gone = whole - sum((parts[b, m] for m in order[:k]), torch.zeros(3))
                come = network.bias + sum((parts[b, m] for m in order[:k]), torch.zeros(3))
                for logits, curve in ((gone, falling), (come, rising)):
                    value = (logits.softmax(0) if probability else logits)[c]
                    torch.testing.assert_close(curve.values[b, k], value, rtol=1e-4, atol=1e-5)
        for order in permutations(range(4)):
            steps = [whole[c] - parts[b, list(order[:k]), c].sum() for k in range(5)]
            assert (
                torch.trapezoid(torch.stack(steps), torch.linspace(0, 1, 5))
                >= areas["contribution"][b] - 1e-4
            )
    assert (areas["random"] >= areas["contribution"] - 1e-5).all()
    attention = explanation.streams["spatial"].attention.mean(dim=1)
    assert (attention.argsort(dim=1) != parts[..., 0].argsort(dim=1)).any()


def test_order_by_attention_is_the_order_of_attention():
    network, x = Asking(4, (3,), 3, seed=6), inputs(5, 4, 3)
    explanation = network.explain(x)
    stream = explanation.streams["spatial"]
    falling, _ = concept_curves(
        explanation, torch.zeros(5, dtype=torch.long), "attention", score="logit"
    )
    order = stream.attention.mean(dim=1).argsort(dim=1, descending=True)
    lost = stream.contributions.sum(dim=1)[..., 0].gather(1, order)
    torch.testing.assert_close(-falling.values.diff(dim=1), lost, rtol=1e-4, atol=1e-5)


def test_comparison_of_rankings_on_a_network_that_is_known():
    network, x = Linear(3, (4, 4), 5, seed=2), inputs(40, 3, 4, 4)
    network.train()
    found = compare(
        network,
        x,
        rankings=("contribution", "attention", "random", "integrated_gradients", "occlusion"),
    )
    assert network.training
    falling, rising = (
        {name: float(pair[i].area.mean()) for name, pair in found.items()} for i in (0, 1)
    )
    # on a linear network all three exact rankings are one
    for name in ("integrated_gradients", "occlusion"):
        torch.testing.assert_close(
            found[name][0].values, found["contribution"][0].values, rtol=1e-4, atol=1e-4
        )
    assert falling["contribution"] < falling["random"] - 0.1
    assert rising["contribution"] > rising["random"] + 0.1
    same = compare(network, x, rankings=("random",))["random"][0].values
    assert torch.equal(same, found["random"][0].values)
    assert falling["attention"] > falling["contribution"]


def test_maps_of_places():
    network, x = Asking(3, (2, 4), 5), inputs(6, 3, 2, 4)
    explanation = network.explain(x)
    attention = explanation.streams["spatial"].attention
    assert torch.equal(attention_map(explanation)[:, 1, 2], attention[:, 6].amax(dim=1))
    assert torch.equal(attention_map(explanation, concept=1)[:, 0, 3], attention[:, 3, 1])
    whole = contribution_map(explanation, torch.zeros(6, dtype=torch.long))
    torch.testing.assert_close(
        whole.sum(dim=(1, 2)) + network.value.bias[0], network(x).logits[:, 0], rtol=1e-4, atol=1e-5
    )
    with pytest.raises(ValueError, match="stream 'global' is not in the explanation"):
        attention_map(explanation, "global")


@pytest.mark.parametrize(("length", "count"), [(12, 3), (7, 3), (5, 5)])
def test_every_position_has_one_place_and_places_are_even(length, count):
    owner = place_of((length,), (count,))
    sizes = torch.bincount(owner)
    assert len(sizes) == count
    assert sizes.max() - sizes.min() <= 1
    assert (owner.diff() >= 0).all()
    table = place_of((length, length), (count, 2))
    assert torch.equal(table[:, 0], owner * 2)


def test_wrong_places_and_steps_are_refused():
    network, x = Asking(3, (4,), 5), inputs(6, 3, 4)
    classes = torch.zeros(6, dtype=torch.long)
    with pytest.raises(ValueError, match=r"places: \[2, 2\] on inputs of \[4\] positions"):
        deletion(lambda z: network(z).logits, x, torch.zeros(6, 2, 2), classes)
    with pytest.raises(ValueError, match=r"places: \[5\] on inputs of \[4\] positions"):
        insertion(lambda z: network(z).logits, x, torch.zeros(6, 5), classes)
    with pytest.raises(ValueError, match="steps: 0"):
        deletion(lambda z: network(z).logits, x, torch.zeros(6, 4), classes, steps=0)
