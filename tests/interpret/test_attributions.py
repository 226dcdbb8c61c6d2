import sys

import pytest
import torch

from tests.interpret.doubles import Asking, Linear, inputs
from tutelage.errors import UserError
from tutelage.interpret import attribution_map, integrated_gradients, occlusion


def test_integrated_gradients_of_a_linear_network_are_its_parts():
    network, x, base = Linear(3, (4,), 5), inputs(6, 3, 4), inputs(6, 3, 4, seed=2)
    classes = torch.tensor([0, 1, 2, 3, 4, 0])
    found = integrated_gradients(lambda z: network(z).logits, x, classes, baseline=base)
    weight = network.weight[:, :, classes].permute(2, 1, 0).detach()
    torch.testing.assert_close(found, weight * (x - base), rtol=1e-4, atol=1e-5)
    assert not found.requires_grad
    assert network.weight.grad is None


def test_integrated_gradients_sum_up_to_the_difference():
    network, x = Asking(3, (2, 2), 5), inputs(6, 3, 2, 2)
    classes = torch.arange(6) % 5
    found = integrated_gradients(lambda z: network(z).logits, x, classes, steps=400)
    ends = [network(z).logits[torch.arange(6), classes].detach() for z in (x, torch.zeros_like(x))]
    torch.testing.assert_close(found.sum(dim=(1, 2, 3)), ends[0] - ends[1], rtol=1e-2, atol=1e-3)


@pytest.mark.parametrize(("space", "shape"), [((3,), (4, 2, 7)), ((2, 2), (4, 2, 4, 6))])
def test_occlusion_by_the_slow_way(space, shape):
    network, x, base = (
        Asking(2, shape[2:], 5, seed=3),
        inputs(*shape),
        inputs(1, *shape[1:], seed=2),
    )
    classes = torch.tensor([0, 4, 1, 2])
    found = occlusion(lambda z: network(z).logits, x, classes, space, baseline=base)
    assert found.shape == (4, *space)
    count = found[0].numel()
    for b in range(4):
        for place in range(count):
            blotted = x[b].clone()
            # cut each axis as evenly as it goes
            for at in torch.cartesian_prod(*(torch.arange(n) for n in shape[2:])).view(
                -1, len(space)
            ):
                number = 0
                for position, length, parts in zip(at.tolist(), shape[2:], space, strict=True):
                    number = number * parts + position * parts // length
                if number == place:
                    blotted[(slice(None), *at.tolist())] = base[0][(slice(None), *at.tolist())]
            fall = network(x[b][None]).logits[0] - network(blotted[None]).logits[0]
            assert found[b].flatten()[place].item() == pytest.approx(
                fall[classes[b]].item(), abs=1e-5
            )


def test_attribution_maps_add_up_inside_each_place():
    values = inputs(3, 2, 5, 6)
    found = attribution_map(values, (2, 3))
    assert found.shape == (3, 2, 3)
    torch.testing.assert_close(found.sum(dim=(1, 2)), values.sum(dim=(1, 2, 3)))
    torch.testing.assert_close(found[:, 0, 1], values[:, :, :3, 2:4].sum(dim=(1, 2, 3)))
    signal = inputs(3, 2, 8)
    torch.testing.assert_close(
        attribution_map(signal, (4,))[:, 3], signal[:, :, 6:].sum(dim=(1, 2))
    )


def test_without_captum_the_sentence_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "captum", None)
    with pytest.raises(UserError, match="captum is not installed; pip install captum"):
        integrated_gradients(lambda z: z.flatten(1), torch.zeros(1, 1, 4), torch.zeros(1).long())
