"""Layers that read few concepts: beside scikit-learn's solution, and counted by hand."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from tutelage.interpret.sparsity import (
    SparseLayer,
    area,
    at_levels,
    effective_concepts,
    matching_layers,
    sparse_path,
)


def samples(n=400, concepts=12, seed=0):
    """Return standardised values of which the first three alone tell three classes apart."""
    rng = torch.Generator().manual_seed(seed)
    values = torch.randn(n, concepts, generator=rng, dtype=torch.float64)
    values = (values - values.mean(dim=0)) / values.std(dim=0, correction=0)
    noise = torch.randn(n, 3, generator=rng, dtype=torch.float64)
    return values, (2 * values[:, :3] + noise).argmax(dim=1)


def loss(layer, values, labels, share):
    weights = layer.weights
    penalty = share * weights.abs().sum() + (1 - share) / 2 * (weights**2).sum()
    entropy = torch.nn.functional.cross_entropy(layer.logits(values), labels)
    return float(entropy + layer.penalty * penalty)


@pytest.mark.parametrize("share", [1.0, 0.7])
def test_it_is_the_solution_of_another_library(share):
    values, labels = samples()
    for layer in sparse_path(values, labels, share=share, steps=8, iterations=3000)[2::3]:
        other = LogisticRegression(
            l1_ratio=share, C=1 / (len(values) * layer.penalty), solver="saga", tol=1e-9, max_iter=20_000
        ).fit(values.numpy(), labels.numpy())  # fmt: skip
        theirs = SparseLayer(
            torch.from_numpy(other.coef_), torch.from_numpy(other.intercept_), layer.penalty
        )
        ours = loss(layer, values, labels, share)
        assert ours == pytest.approx(loss(theirs, values, labels, share), abs=1e-7)
        assert torch.allclose(layer.weights, theirs.weights, atol=1e-3)


def test_a_path_begins_empty_at_the_smallest_penalty_that_empties_it():
    values, labels = samples()
    first, second = sparse_path(values, labels, steps=1)
    assert first.effective == 0 and second.effective > 0
    shares = torch.bincount(labels) / len(labels)
    assert torch.allclose(first.bias.softmax(dim=0), shares.double())


def test_a_path_ends_where_it_is_dense_enough():
    values, labels = samples()
    path = sparse_path(values, labels, level=2)
    assert path[-1].effective >= 2 > path[-2].effective


def test_concepts_that_tell_classes_apart_come_first():
    values, labels = samples()
    layer = at_levels(sparse_path(values, labels), [1])[1]
    assert (layer.weights != 0).nonzero().tolist() == [[0, 0], [1, 1], [2, 2]]


def test_what_is_forbidden_stays_zero():
    values, labels = samples()
    allowed = torch.zeros(3, 12, dtype=torch.bool)
    allowed[0, :6] = allowed[1, 3:9] = allowed[2, 6:] = True
    last = sparse_path(values, labels, allowed=allowed, positive=True, steps=30)[-1]
    assert (last.weights[~allowed] == 0).all()
    assert (last.weights >= 0).all() and (last.weights > 0).any()


def test_matching_takes_the_concepts_that_count_and_fits_them_anew():
    values, labels = samples()
    layers = matching_layers(values, labels, level=3, iterations=3000)
    assert [layer.effective for layer in layers] == [1, 2, 3]
    assert (layers[0].weights != 0).nonzero().tolist() == [[0, 0], [1, 1], [2, 2]]
    # with all concepts of the last layer it is ridge regression, as scikit-learn solves it
    every = matching_layers(values[:, :3], labels, level=3, iterations=3000)[-1]
    other = LogisticRegression(C=1 / (len(values) * 1e-3), tol=1e-9, max_iter=9999)
    other.fit(values[:, :3].numpy(), labels.numpy())
    assert torch.allclose(every.weights, torch.from_numpy(other.coef_), atol=1e-4)


def test_matching_takes_one_of_two_concepts_that_say_the_same():
    values, labels = samples()
    doubled = torch.cat([values, values], dim=1)
    for row in matching_layers(doubled, labels, level=3)[-1].weights:
        assert len({int(i) % 12 for i in row.nonzero()}) == 3


def test_matching_keeps_to_what_is_allowed():
    values, labels = samples()
    allowed = torch.zeros(3, 12, dtype=torch.bool)
    allowed[0, 0] = allowed[1, 1:5] = allowed[2, 6:] = True
    last = matching_layers(values, labels, level=4, allowed=allowed)[-1]
    assert (last.weights != 0).sum(dim=1).tolist() == [1, 4, 4]
    assert (last.weights[~allowed] == 0).all()
    spoken = matching_layers(values, labels, level=4, allowed=allowed, positive=True)[-1]
    assert (spoken.weights >= 0).all() and spoken.effective > 0


def test_certain_probabilities_are_labels():
    values, labels = samples()
    certain = torch.nn.functional.one_hot(labels).double()
    for a, b in zip(sparse_path(values, labels), sparse_path(values, certain), strict=True):
        assert torch.equal(a.weights, b.weights)


def test_pruning_keeps_the_largest_of_the_whole_matrix():
    weights = torch.tensor([[0.1, -5.0, 2.0], [0.3, 0.0, -0.2]])
    layer = SparseLayer(weights, torch.zeros(2), 0.1)
    assert layer.effective == 2.5
    assert layer.pruned(1.5).weights.tolist() == [[0, -5, 2], [pytest.approx(0.3), 0, 0]]
    assert torch.equal(layer.pruned(99).weights, weights)
    assert layer.pruned(0).effective == 0


def test_each_level_takes_the_first_layer_that_has_as_many():
    layers = [
        SparseLayer(torch.tensor(rows), torch.zeros(2), 1.0 / i)
        for i, rows in enumerate(
            ([[0.0] * 3] * 2, [[1.0, 0, 0], [0, 2, 0]], [[1.0, 3, 0], [4, 2, 5]]), 1
        )
    ]
    found = at_levels(layers, [1, 2, 3])
    assert torch.equal(found[1].weights, layers[1].weights)
    assert found[2].weights.tolist() == [[0, 3, 0], [4, 2, 5]]
    assert found[3].effective == 2.5  # none has more


def test_accuracy_and_area_are_means():
    layer = SparseLayer(torch.eye(2), torch.zeros(2), 0.0)
    values = torch.tensor([[2.0, 1], [0, 1], [3, 4], [5, 1]])
    assert layer.accuracy(values, torch.tensor([0, 1, 0, 0])) == 0.75
    assert area({5: 0.5, 10: 0.7, 30: 0.9}) == pytest.approx(0.7)
    assert effective_concepts(torch.zeros(4, 7)) == 0


@pytest.mark.parametrize(
    ("targets", "share", "message"),
    [(torch.zeros(4).long(), 0.9, "one class"), (torch.arange(4), 0.0, "share: 0.0")],
)
def test_wrong_input_is_refused(targets, share, message):
    with pytest.raises(ValueError, match=message):
        sparse_path(torch.from_numpy(np.eye(4)), targets, share=share)
