import pytest
import torch

from tests.interpret.doubles import Asking, Linear, inputs
from tutelage.interpret import ablate, additivity

SHAPES = [((7,), (5, 3, 7)), ((2, 4), (5, 3, 2, 4))]


@pytest.mark.parametrize(("space", "shape"), SHAPES)
def test_a_true_explanation_has_no_error(space, shape):
    x = inputs(*shape)
    for network in (Linear(3, space, 4), Asking(3, space, 4)):
        assert additivity(network, x).max() < 1e-5
        found = ablate(network, x)["spatial"]
        torch.testing.assert_close(found.claimed, found.lost, rtol=1e-4, atol=1e-5)
        assert found.error.max() < 1e-5
        assert found.names == ("channel 0", "channel 1", "channel 2")


def test_ablation_by_the_slow_way():
    network, x = Linear(3, (4,), 5), inputs(6, 3, 4)
    classes = torch.tensor([0, 1, 2, 3, 4, 0])
    found = ablate(network, x, classes)["spatial"]
    for b in range(6):
        for m in range(3):
            blank = x[b : b + 1].clone()
            blank[:, m] = 0  # linear: a channel of zeros says nothing
            whole, rest = network(x[b : b + 1]).logits[0], network(blank).logits[0]
            c = classes[b]
            torch.testing.assert_close(found.lost[b, m], whole[c] - rest[c])
            torch.testing.assert_close(
                found.claimed[b, m], (x[b, m] * network.weight[:, m, c]).sum()
            )
            torch.testing.assert_close(found.before[b], whole.softmax(0)[c])
            torch.testing.assert_close(found.after[b, m], rest.softmax(0)[c])
            assert found.turned[b, m] == (rest.argmax() != whole.argmax())
    assert found.turned.any()
    assert not found.turned.all()


def test_a_lie_is_found_and_measured():
    network, x = Linear(3, (4,), 5, lie=0.25), inputs(6, 3, 4)
    # four places times three concepts in each sum, four places in each claim
    torch.testing.assert_close(additivity(network, x), torch.full((6,), 3.0), rtol=1e-5, atol=1e-5)
    error = ablate(network, x)["spatial"].error
    torch.testing.assert_close(error, torch.full((6,), 1.0), rtol=1e-5, atol=1e-5)


def test_the_mode_of_the_network_is_put_back():
    network, x = Linear(3, (4,), 5), inputs(6, 3, 4)
    for mode in (True, False):
        network.train(mode)
        ablate(network, x)
        additivity(network, x)
        assert network.training is mode
    assert not ablate(network, x)["spatial"].lost.requires_grad
