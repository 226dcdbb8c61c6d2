import pytest
import torch

from tests.interpret.doubles import Asking, Linear, inputs
from tutelage.interpret import stability


def test_a_network_without_chance_is_still():
    network, x = Asking(3, (4,), 5), inputs(6, 3, 4)
    found = stability(network, x)
    assert found.logits.tolist() == found.attention.tolist() == [0.0] * 6
    assert found.top.tolist() == [1.0] * 6


def test_a_network_that_draws_is_not():
    network, x = Asking(3, (4,), 5), inputs(6, 3, 4) / 10
    network.value.weight.data = (
        1 + network.value.weight.data / 5
    )  # concepts of about the same weight
    network.noise = 2.0
    state = torch.get_rng_state()
    found = stability(network, x, repeats=20, seed=3)
    assert torch.equal(torch.get_rng_state(), state)
    assert found.logits.min() > 0.01
    assert found.attention.min() > 0.05
    assert 0 < found.top.mean() < 0.9
    again = stability(network, x, repeats=20, seed=3)
    assert torch.equal(again.logits, found.logits)


def test_noise_on_a_linear_network_spreads_as_its_weights_say():
    network, x = Linear(3, (4,), 1), inputs(2, 3, 4)
    found = stability(network, x, repeats=4000, noise=0.1)
    wanted = 0.1 * network.weight.square().sum().sqrt()
    torch.testing.assert_close(found.logits, wanted.expand(2).double(), rtol=0.05, atol=0)


def test_spread_and_agreement_by_the_slow_way():
    network, x = Asking(3, (4,), 5), inputs(6, 3, 4)
    network.noise = 1.0
    found = stability(network, x, repeats=5, seed=7)
    torch.manual_seed(7)
    logits, attention, tops = [], [], []
    with torch.no_grad():
        for _ in range(5):
            explanation = network.explain(x)
            logits.append(explanation.logits)
            attention.append(explanation.streams["spatial"].attention)
            parts = explanation.streams["spatial"].contributions.sum(dim=1)
            tops.append([int(parts[b, :, logits[0][b].argmax()].argmax()) for b in range(6)])
    for b in range(6):
        spread = max(torch.stack([o[b, n] for o in logits]).double().std().item() for n in range(5))
        assert found.logits[b].item() == pytest.approx(spread)
        spread = max(
            torch.stack([a[b, p, m] for a in attention]).double().std().item()
            for p in range(4)
            for m in range(3)
        )
        assert found.attention[b].item() == pytest.approx(spread)
        same = sum(top[b] == tops[0][b] for top in tops[1:]) / 4
        assert found.top[b].item() == pytest.approx(same)


def test_one_pass_says_nothing():
    with pytest.raises(ValueError, match="repeats: 1; allowed: 2 or more"):
        stability(Asking(3, (4,), 5), inputs(6, 3, 4), repeats=1)
