"""Averages over epochs: the authors' weights, the identity, a loop, and what is never averaged."""

import math

import pytest
import torch
from torch import nn

from tutelage.averaging import Gaussian, Uniform, add_epoch, averaged


def test_weights_equal_the_authors_code():
    # muzairkhattak/PromptSRC@bb95c77b634d63488f2cad81ff4a72d53bdd06d5, PromptSRC.get_gauss over epochs 1 to N,
    # divided by their sum: the first, the last, and that of the mean.
    for (mean, std, epochs), first, last, highest in (
        ((15, 1, 20), 1.0966065601943704e-43, 1.486719515826214e-06, 0.39894228069443455),
        ((6, 10, 20), 0.05540200612611104, 0.023561541957672207, 0.06277869753860156),
        ((30, 30, 50), 0.014123754319424928, 0.018044809540966867, 0.022535239986587234),
        ((45, 5, 50), 1.409857117824747e-18, 0.05596418706544287, 0.09226934561223665),
    ):
        weights = Gaussian(mean, std).weights(epochs)
        found = [float(weights[i]) for i in (0, -1, mean - 1)]
        assert found == pytest.approx([first, last, highest], rel=1e-9)


@pytest.mark.parametrize("epochs", [1, 2, 3, 20, 50])
@pytest.mark.parametrize(
    "average", [Gaussian(15, 1), Gaussian(6, 10), Gaussian(3, 0.01), Uniform(), Uniform(4)]
)
def test_weights_have_the_sum_one(average, epochs):
    weights = average.weights(epochs)
    assert weights.shape == (epochs,)
    assert float(weights.sum()) == pytest.approx(1.0, abs=1e-12)
    assert bool((weights >= 0).all())
    if epochs == 1:
        assert weights.tolist() == [1.0]


def test_far_from_the_mean_the_nearest_epoch_counts():
    # Every density is 0.0 in double precision; the authors' code divides by their sum.
    assert math.exp(-0.5 * 88**2) == 0.0
    assert Gaussian(90, 1).weights(2).tolist() == pytest.approx([0.0, 1.0], abs=1e-30)


def states(epochs, dtype=torch.float32):
    """A network after each epoch: its trained weight and running statistics move."""
    network = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2), nn.Linear(2, 2)).to(dtype)
    network[2].requires_grad_(False)
    random = torch.Generator().manual_seed(0)
    for _ in range(epochs):
        with torch.no_grad():
            for p in network[:2].parameters():
                p.add_(torch.randn(p.shape, generator=random))
        network(torch.randn(8, 3, generator=random).to(dtype))
        yield network


@pytest.mark.parametrize("average", [Gaussian(2, 1), Uniform(2)])
def test_the_average_equals_a_sum_written_by_hand(average):
    weights, total, kept = average.weights(3), {}, []
    for epoch, network in enumerate(states(3)):
        total = add_epoch(total, network, float(weights[epoch]))
        kept.append({name: value.clone() for name, value in network.state_dict().items()})
    found = averaged(total, network)
    assert found.keys() == kept[-1].keys()
    for name, value in found.items():
        if name.startswith("2.") or name.endswith("tracked"):
            assert torch.equal(value, kept[-1][name])  # frozen, or a count: as it is
            continue
        wanted = sum(
            float(w) * state[name].double() for w, state in zip(weights, kept, strict=True)
        )
        torch.testing.assert_close(value, wanted.float(), rtol=1e-7, atol=0)
        assert value.dtype == torch.float32
    assert not any(name.startswith("2.") for name in total)


def test_equals_the_authors_sum():
    # PromptSRC.state_dict_weighting and state_dict_add over three states, mean 2, std 1.
    network, total = nn.Linear(4, 1, bias=False), {}
    for number, weight in enumerate(Gaussian(2, 1).weights(3).tolist(), start=1):
        network.weight.data = torch.sin(torch.arange(4.0) * number + number)[None]
        total = add_epoch(total, network, weight)
    wanted = torch.tensor([[0.6801749, -0.1693400, 0.0253679, 0.0925805]])
    torch.testing.assert_close(averaged(total, network)["weight"], wanted, rtol=1e-5, atol=1e-6)


def test_one_epoch_is_the_identity_and_a_weight_that_rests_stays_as_it_is():
    for network in states(1):
        found = averaged(add_epoch({}, network, float(Gaussian(15, 1).weights(1)[0])), network)
        for name, value in network.state_dict().items():
            assert torch.equal(found[name], value)
    total = {}
    for weight in Gaussian(6, 10).weights(20).tolist():
        total = add_epoch(total, network, weight)
    found = averaged(total, network)
    assert all(torch.equal(found[name], value) for name, value in network.state_dict().items())


def test_wrong_numbers_are_refused():
    with pytest.raises(ValueError, match="std: 0"):
        Gaussian(1, 0)
    with pytest.raises(ValueError, match="first: 0"):
        Uniform(0)
