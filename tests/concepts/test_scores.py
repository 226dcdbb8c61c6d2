"""Discriminability of concepts: loops over the formulas, the released code's numbers, and what must hold."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tutelage.concepts import scores as module
from tutelage.concepts.scores import (
    class_means,
    concept_scores,
    mutual_information,
    negative_entropy,
    scaled,
)


def drawn(*shape, seed=0, low=0.1, high=0.4):
    random = torch.Generator().manual_seed(seed)
    return low + (high - low) * torch.rand(*shape, generator=random, dtype=torch.float64)


def signed(*shape, seed=0):
    return drawn(*shape, seed=seed, low=-1.0, high=1.0)


def positive(similarities, values, temperature):
    """What stands for each similarity, by loops."""
    rows = similarities.tolist()
    if values == "raw":
        return rows
    if values == "shift":
        every = [x for row in rows for x in row]
        low, high = min(every), max(every)
        return [[(x - low) / (high - low) + 1e-6 for x in row] for row in rows]
    columns = []
    for column in zip(*rows, strict=True):
        powers = [math.exp(x / temperature) for x in column]
        columns.append([x / sum(powers) for x in powers])
    return [list(row) for row in zip(*columns, strict=True)]


def slow_mutual_information(q):
    classes, count = len(q), len(q[0])
    found = []
    for c in range(count):
        joint = [q[y][c] / (classes * sum(q[y])) for y in range(classes)]
        found.append(sum(p * math.log(p / (sum(joint) / classes)) for p in joint))
    return found


def slow_entropy(q):
    found = []
    for column in zip(*q, strict=True):
        shares = [x / sum(column) for x in column]
        found.append(sum(p * math.log(p) for p in shares if p > 0))
    return found


@pytest.mark.parametrize("values", ["softmax", "shift", "raw"])
@pytest.mark.parametrize(("classes", "count"), [(2, 1), (3, 7), (10, 40)])
def test_scores_by_loops(values, classes, count):
    similarities = drawn(classes, count) if values == "raw" else signed(classes, count)
    q = positive(similarities, values, 0.3)
    for fast, slow in (
        (mutual_information, slow_mutual_information),
        (negative_entropy, slow_entropy),
    ):
        found = fast(similarities, values=values, temperature=0.3)
        expected = torch.tensor(slow(q), dtype=torch.float64)
        torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-15)


def test_the_released_codes_numbers():
    # YueYANG1996/LaBo@83ed4b08912a63fcc8d006a97b3cd51ebdcc2cdb, mi_score in float64 on these images and concepts.
    images = 1 + 0.5 * torch.sin(torch.arange(28, dtype=torch.float64)).reshape(7, 4)
    concepts = 1 + 0.5 * torch.cos(1.7 * torch.arange(20, dtype=torch.float64)).reshape(5, 4)
    expected = [
        3.626713406179e-05,
        1.005787545553e-05,
        1.172247690592e-06,
        1.158715183655e-05,
        3.081678329686e-05,
    ]
    similarities = [
        [4.1484792827, 4.2568046733, 4.3342108376, 4.3604788971, 4.3287475027],
        [4.0964483631, 4.114970889, 4.0830685934, 4.0090745161, 3.9123162815],
        [4.4387477442, 4.4548095132, 4.4549570654, 4.4391518594, 4.4115222942],
    ]
    labels = torch.tensor([0, 0, 1, 1, 1, 2, 2])
    means = class_means(images, labels, 3, normalise=False)
    torch.testing.assert_close(
        means @ concepts.mT, torch.tensor(similarities).double(), rtol=0, atol=1e-6
    )
    found = concept_scores(means, concepts, "mutual_information", values="raw")
    torch.testing.assert_close(
        found, torch.tensor(expected, dtype=torch.float64), rtol=1e-9, atol=0
    )


@pytest.mark.parametrize("normalise", [True, False])
def test_similarity_is_the_mean_over_the_images_of_a_class(normalise, monkeypatch):
    monkeypatch.setattr(module, "_ROWS", 4)
    images, concepts = signed(11, 6), signed(4, 6, seed=1)
    labels = torch.tensor([2, 0, 1, 1, 0, 2, 2, 0, 1, 2, 2])
    unit = images / images.norm(dim=1, keepdim=True) if normalise else images
    expected = torch.zeros(3, 4, dtype=torch.float64)
    for y in range(3):
        for c in range(4):
            all_of_class = [float(unit[i] @ concepts[c]) for i in range(11) if labels[i] == y]
            expected[y, c] = sum(all_of_class) / len(all_of_class)
    found = class_means(images, labels, 3, normalise=normalise) @ concepts.mT
    torch.testing.assert_close(found, expected)


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 12), st.integers(1, 30), st.integers(0, 10**6))
def test_mutual_information_is_weighed_information(classes, count, seed):
    similarities = drawn(classes, count, seed=seed)
    score = mutual_information(similarities, values="raw")
    joint = similarities / (classes * similarities.sum(dim=1, keepdim=True))
    torch.testing.assert_close(joint.sum(), torch.ones((), dtype=torch.float64))
    marginal = joint.sum(dim=0)
    entropy = torch.special.entr(joint / marginal).sum(dim=0)
    torch.testing.assert_close(score, marginal * (math.log(classes) - entropy), atol=1e-14, rtol=0)
    assert bool((score >= 0).all())


def test_a_concept_that_follows_the_class_totals_says_nothing():
    similarities = drawn(5, 6)
    similarities[:, 2] = 0.3 * similarities[:, [0, 1, 3, 4, 5]].sum(dim=1)
    score = mutual_information(similarities, values="raw")
    assert float(score[2]) == pytest.approx(0.0, abs=1e-15)
    assert float(score[[0, 1, 3, 4, 5]].min()) > 1e-6


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 12), st.sampled_from(["softmax", "shift"]), st.integers(0, 10**6))
def test_entropy_is_bounded(classes, values, seed):
    score = negative_entropy(signed(classes, 9, seed=seed), values=values)
    assert bool((score <= 0).all())
    assert bool((score >= -math.log(classes) - 1e-12).all())


def test_entropy_at_its_bounds():
    same = negative_entropy(torch.full((7, 3), -0.2))
    torch.testing.assert_close(same, torch.full((3,), -math.log(7), dtype=torch.float64))
    one = torch.full((7, 1), 1e-300, dtype=torch.float64)
    one[4] = 1.0
    assert float(negative_entropy(one, values="raw")) == pytest.approx(0.0, abs=1e-12)
    one = torch.zeros(7, 1)
    one[4] = 60.0
    assert float(negative_entropy(one)) == pytest.approx(0.0, abs=1e-12)
    assert float(negative_entropy(torch.zeros(7, 1), values="shift")) == pytest.approx(-math.log(7))


def test_both_scores_rank_positive_similarities_alike():
    # Where similarities are as close to each other as CLIP's. The page of the method says 0.95 to 0.98.
    similarities = drawn(10, 400, low=0.15, high=0.35)
    ranks = [
        scaled(score(similarities, values="raw"), "rank")
        for score in (mutual_information, negative_entropy)
    ]
    assert float(torch.corrcoef(torch.stack(ranks))[0, 1]) > 0.9


def test_only_raw_minds_a_negative_similarity():
    similarities = signed(3, 5)
    for score in (mutual_information, negative_entropy):
        for values in ("softmax", "shift"):
            assert bool(score(similarities, values=values).isfinite().all())
        with pytest.raises(ValueError, match=r"-0\..* choose values='softmax' or 'shift'"):
            score(similarities, values="raw")
        with pytest.raises(ValueError, match="choose values"):
            score(torch.zeros(2, 2), values="raw")
        with pytest.raises(ValueError, match="temperature: 0"):
            score(similarities, temperature=0.0)
        with pytest.raises(ValueError, match="not all numbers are finite"):
            score(torch.full((2, 2), torch.nan))


def test_a_class_far_from_everything_keeps_its_share():
    # exp(-200 / 0.05) underflows; its total would be 0 and its share 0 / 0.
    similarities = torch.tensor([[100.0, 100.1, 100.0], [-100.0, -100.0, -99.9]])
    score = mutual_information(similarities)
    assert bool(score.isfinite().all())
    assert float(score.sum()) > 0.1
    shifted = mutual_information(similarities.double() + torch.tensor([[-100.0], [100.0]]))
    assert bool(shifted.isfinite().all())
    # A concept whose share underflows for all classes: 0, not 0 * -inf.
    absent = torch.tensor([[1.0, 1e-320], [2.0, 1e-320], [3.0, 1e-320]], dtype=torch.float64)
    assert mutual_information(absent, values="raw")[1] == 0.0


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(["softmax", "shift", "raw"]))
def test_order_of_classes_and_of_concepts_does_not_matter(seed, values):
    similarities = drawn(4, 9, seed=seed)
    random = torch.Generator().manual_seed(seed)
    rows, columns = torch.randperm(4, generator=random), torch.randperm(9, generator=random)
    for score in (mutual_information, negative_entropy):
        plain = score(similarities, values=values)
        moved = score(similarities[rows][:, columns], values=values)
        torch.testing.assert_close(moved, plain[columns], rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("values", ["softmax", "shift", "raw"])
@pytest.mark.parametrize("name", ["mutual_information", "negative_entropy"])
def test_blocks_change_nothing(monkeypatch, name, values):
    means, concepts = drawn(6, 5), drawn(50, 5, seed=3)
    whole = getattr(module, name)(means @ concepts.mT, values=values)
    monkeypatch.setattr(module, "_ELEMENTS", 40)  # six concepts at a time
    torch.testing.assert_close(concept_scores(means, concepts, name, values=values), whole)


def test_scales():
    values = signed(30).sort().values
    for scale in ("range", "rank"):
        found = scaled(values, scale)
        assert float(found[0]) == 0.0
        assert float(found[-1]) == 1.0
        assert bool((found.diff() > 0).all())
    torch.testing.assert_close(scaled(values, "raw"), values - values[0])
    torch.testing.assert_close(scaled(values + 2, "raw"), values + 2)
    shared = scaled(torch.tensor([5.0, 1.0, 5.0, 5.0, 0.0]), "rank")
    assert shared.tolist() == [0.75, 0.25, 0.75, 0.75, 0.0]
    for scale in ("range", "rank", "raw"):
        assert scaled(torch.zeros(0), scale).tolist() == []
        assert bool((scaled(torch.full((1,), -3.0), scale) == 0).all())
    assert scaled(torch.full((4,), -3.0)).tolist() == [0.0] * 4


def test_a_wrong_argument_is_one_sentence():
    images, labels = signed(4, 3), torch.tensor([0, 0, 2, 2])
    with pytest.raises(ValueError, match="class 1 has no sample"):
        class_means(images, labels, 3)
    with pytest.raises(ValueError, match="labels: 0 to 2 for 2 classes"):
        class_means(images, labels, 2)
    with pytest.raises(ValueError, match="labels: 3 for 4 embeddings"):
        class_means(images, labels[:3], 3)
    with pytest.raises(ValueError, match="embeddings: not all numbers are finite"):
        class_means(images * torch.inf, labels.clamp_max(1), 2)
    with pytest.raises(ValueError, match=r"concepts: \[5, 4\] beside class means \[2, 3\]"):
        concept_scores(signed(2, 3), signed(5, 4))
