import pytest
import torch
from scipy.stats import spearmanr
from torch.nn import functional as F

from tests.interpret.doubles import Asking, Linear
from tutelage.data import Digits
from tutelage.errors import UserError
from tutelage.interpret import (
    concept_accuracies,
    concept_accuracy,
    likeness,
    randomisation,
    randomised,
)
from tutelage.models import ConceptTransformer, WideResNet


def coloured(count, size, places):
    """RunConfig that hold one channel each, and the one-hot truth."""
    truth = torch.randint(size, (count, places), generator=torch.Generator().manual_seed(0))
    hot = F.one_hot(truth, size).float()
    return hot.transpose(1, 2), hot


def test_only_the_named_layers_are_scrambled_and_keep_their_numbers():
    network = Asking(6, (3,), 4)
    copy = randomised(network, ["query"], seed=1)
    assert torch.equal(network.query.weight, 9 * torch.eye(6))
    assert not torch.equal(copy.query.weight, network.query.weight)
    assert torch.equal(
        copy.query.weight.flatten().sort()[0], network.query.weight.flatten().sort()[0]
    )
    assert torch.equal(copy.value.weight, network.value.weight)
    assert torch.equal(randomised(network, ["query"], seed=1).query.weight, copy.query.weight)
    assert not torch.equal(randomised(network, ["query"], seed=2).query.weight, copy.query.weight)
    bias = randomised(network, ["value.bias"])
    assert torch.equal(bias.value.weight, network.value.weight)
    assert torch.equal(bias.value.bias.sort()[0], network.value.bias.sort()[0])
    with pytest.raises(UserError, match=r"randomised: unknown layer 'qeury'; did you mean 'query'"):
        randomised(network, ["qeury"])
    with pytest.raises(UserError, match="unknown layer 'quer'"):  # a prefix of a name is no layer
        randomised(network, ["quer"])


def test_a_scrambled_query_loses_what_the_identity_knew():
    network = Asking(8, (20,), 4)
    x, truth = coloured(50, 8, 20)

    def accuracy(one):
        return float(concept_accuracy(one.attention(x), truth).mean())

    found = randomisation(network, accuracy, ["query"], repeats=6)
    assert found.before == 1.0
    assert len(found.after) == 6
    assert sum(found.after) / 6 < 0.35  # chance is 1/8
    kept = randomisation(network, accuracy, ["value"], repeats=3)
    assert kept.after == (1.0, 1.0, 1.0)


@pytest.fixture(scope="module")
def trained():
    """A concept transformer on digit parity, trained for seconds, with samples it has not seen."""
    data = Digits().load()
    x = torch.from_numpy(data.inputs).float() / 128 - 1
    y, concepts = torch.from_numpy(data.labels), torch.from_numpy(data.concepts["global"])
    torch.manual_seed(0)
    backbone = WideResNet(3, 2, depth=10, width=1)
    network = ConceptTransformer(
        (3, 8, 8), 2, data.concept_names, network=backbone, source="table", dropout=0.0,
        logit_dropout=0.0,
    )  # fmt: skip
    optimizer = torch.optim.AdamW(network.parameters(), lr=4e-3)
    for _ in range(6):
        for part in torch.randperm(1400).split(64):
            out = network(x[part])
            loss = F.cross_entropy(out.logits, y[part])
            gap = out.features["global_attention"] - concepts[part]
            loss = loss + 2 * gap.square().sum(dim=1).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return network.eval(), x[1400:], y[1400:], concepts[1400:]


def test_a_trained_network_loses_its_concepts_when_its_query_is_scrambled(trained):
    network, x, _, concepts = trained

    def accuracy(one):
        with torch.no_grad():
            return float(concept_accuracies(one.explain(x), {"global": concepts})["global"].mean())

    found = randomisation(network, accuracy, ["streams.global.query"], repeats=5)
    assert found.before > 0.8
    assert max(found.after) < found.before - 0.3
    assert sum(found.after) / 5 < 0.35
    unmoved = randomisation(network, accuracy, ["streams.global.value"], repeats=1)
    assert unmoved.after == (
        found.before,
    )  # values say what a concept means for a class, not where it is


def test_likeness_is_spearmans_and_falls_with_randomisation(trained):
    network, x, _, _ = trained
    x = x[:40]
    with torch.no_grad():
        one, other = network.explain(x), randomised(network, ["streams.global.query"]).explain(x)
    found = likeness(one, other)["global"]
    for b in range(40):
        pair = (e.streams["global"].attention[b].flatten().numpy() for e in (one, other))
        assert float(found[b]) == pytest.approx(spearmanr(*pair).statistic, abs=1e-9)
    assert torch.allclose(likeness(one, one)["global"], torch.ones(40, dtype=torch.double))
    assert found.mean() < 0.6
    flat = Linear(2, (3,), 2).explain(torch.zeros(2, 2, 3))
    assert likeness(flat, flat)["spatial"].isnan().all()
