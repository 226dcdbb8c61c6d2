"""TinierHAR against the counts of its authors, and its parts against what they should do."""

import pytest
import torch

from tutelage.models import TinierHAR


# zhaxidele/TinierHAR@a31e7c0, Run_logs/macs_params.txt: channels, classes, (filters, blocks, units), parameters
@pytest.mark.parametrize(
    ("channels", "classes", "sizes", "count"),
    [
        (6, 12, (4, 4, 16), 7_483),
        (6, 12, (4, 4, 8), 3_723),
        (6, 12, (4, 4, 32), 17_307),
        (6, 12, (2, 2, 8), 2_031),
        (6, 12, (8, 8, 16), 15_043),
        (9, 6, (4, 4, 16), 9_589),
    ],
)
def test_parameters_are_as_many_as_the_authors_logged(channels, classes, sizes, count):
    filters, blocks, units = sizes
    network = TinierHAR((channels, 32), classes, filters=filters, blocks=blocks, units=units)
    assert sum(p.numel() for p in network.parameters()) == count


def test_shapes_and_gradients():
    torch.manual_seed(0)
    network = TinierHAR((3, 50), 5)
    output = network(torch.randn(4, 3, 50))
    assert {name: list(value.shape) for name, value in output.features.items()} == {
        "stage1": [4, 12, 25],
        "stage2": [4, 24, 12],
        "stage3": [4, 24, 12],
        "embedding": [4, 32],
    }
    output.logits.square().sum().backward()
    assert all(p.grad is not None for p in network.parameters())
    logits, embedding = network.eval().decode(output.features["stage3"])
    assert logits.shape == (4, 5) and embedding.shape == (4, 32)


def test_channels_are_filtered_apart_and_alike():
    """Two channels that say the same leave the same rows; one that changes moves its own rows alone."""
    network = TinierHAR((2, 32), 3).eval()
    x = torch.randn(1, 1, 32).repeat(1, 2, 1)
    same = network(x).features["stage3"].view(1, 8, 2, 8)
    assert torch.equal(same[:, :, 0], same[:, :, 1])
    x[:, 1] += 1
    moved = network(x).features["stage3"].view(1, 8, 2, 8)
    assert torch.equal(moved[:, :, 0], same[:, :, 0])
    assert not torch.allclose(moved[:, :, 1], same[:, :, 1])


def test_attention_weighs_the_steps():
    """With a head that reads one unit, the score is the mean of that unit under the weights written out."""
    torch.manual_seed(0)
    network = TinierHAR((2, 32), 3).eval()
    feature = network(torch.randn(2, 2, 32)).features["stage3"]
    steps = network.gru(feature.transpose(1, 2))[0]
    score = steps @ network.attention.weight[0] + network.attention.bias
    weights = score.exp() / score.exp().sum(dim=1, keepdim=True)
    wanted = torch.einsum("bt,btd->bd", weights, steps)
    assert torch.allclose(network.decode(feature)[1], wanted, atol=1e-6)


def test_images_are_refused():
    with pytest.raises(ValueError, match="reads signals"):
        TinierHAR((3, 32, 32), 10)
