"""Selection over all classes: settings, ownership by several classes, and what is refused."""

import numpy as np
import pytest
import torch

from tutelage.concepts import Concept, ConceptSet
from tutelage.concepts.greedy import lazy_greedy, likeness
from tutelage.concepts.scores import class_means, mutual_information, negative_entropy, scaled
from tutelage.concepts.selection import Criterion, choose, select_concepts


def features(seed=0, classes=3, concepts=40, dimensions=8):
    random = np.random.default_rng(seed)
    images = torch.tensor(random.normal(size=(30, dimensions)) + 1, dtype=torch.float32)
    texts = torch.tensor(random.normal(size=(concepts, dimensions)) + 1, dtype=torch.float32)
    return images, torch.arange(30) % classes, texts


CANDIDATES = [list(range(0, 16)), list(range(12, 30)), [39, 3, 31, 20, 33, 35, 37, 5]]


@pytest.mark.parametrize(
    "criterion",
    [
        Criterion(),
        Criterion(0.5, 2.0, score="negative_entropy", values="shift", scale="rank"),
        Criterion(3.0, 0.0, temperature=0.5, scale="raw", likeness="squared_cosine"),
        Criterion(0.0, 1.0),
    ],
)
def test_each_class_by_hand(criterion):
    images, labels, texts = features()
    scores = criterion.scores(images, labels, texts, 3)
    unit = texts / texts.norm(dim=1, keepdim=True)
    function = {"mutual_information": mutual_information, "negative_entropy": negative_entropy}
    similarities = class_means(images, labels, 3) @ unit.mT
    expected = function[criterion.score](
        similarities, values=criterion.values, temperature=criterion.temperature
    )
    torch.testing.assert_close(scores, expected, rtol=1e-4, atol=1e-9)
    found = select_concepts(scores, texts, CANDIDATES, 5, criterion)
    for own, picks in zip(CANDIDATES, found.picks, strict=True):
        brings = criterion.discriminability * scaled(scores[own], criterion.scale).numpy()
        covers = criterion.coverage * likeness(texts[own], criterion.likeness).double().numpy()
        by_hand = lazy_greedy(brings, covers, 5)
        assert picks.order == tuple(own[i] for i in by_hand.order)
        assert picks.gains == by_hand.gains
    taken = sorted({c for picks in found.picks for c in picks.order})
    assert found.concepts.tolist() == taken


def test_the_released_setting():
    images, labels, texts = features()
    images, texts = images.abs() + 0.1, texts.abs() + 0.1
    rule = Criterion(
        1e7, 5.0, values="raw", scale="raw", likeness="squared_cosine", normalise=False
    )
    scores = rule.scores(images, labels, texts, 3)
    means = torch.stack([images[labels == y].mean(dim=0) for y in range(3)])
    torch.testing.assert_close(
        scores, mutual_information(means @ texts.mT, values="raw"), rtol=1e-3, atol=1e-9
    )
    brings, covers = rule.weighed(scores, texts)
    torch.testing.assert_close(brings, 1e7 * scores)
    torch.testing.assert_close(covers, 5 * likeness(texts, "squared_cosine").double())


def test_coefficients_at_zero():
    images, labels, texts = features()
    rule = Criterion(1.0, 0.0)
    scores = rule.scores(images, labels, texts, 3)
    found = select_concepts(scores, texts, CANDIDATES, 4, rule)
    for own, picks in zip(CANDIDATES, found.picks, strict=True):
        assert set(picks.order) == set(sorted(own, key=lambda c: -float(scores[c]))[:4])
    covering = select_concepts(scores, texts, CANDIDATES, 4, Criterion(0.0, 1.0))
    other = select_concepts(scores.flip(0), texts, CANDIDATES, 4, Criterion(0.0, 1.0))
    assert covering.picks == other.picks


def test_a_constant_on_the_scores_changes_nothing():
    images, labels, texts = features(1)
    for scale in ("range", "rank", "raw"):
        rule = Criterion(10.0, 1.0, score="negative_entropy", scale=scale)
        scores = rule.scores(images, labels, texts, 3)
        plain = select_concepts(scores, texts, CANDIDATES, 6, rule)
        raised = select_concepts(scores + np.log(3), texts, CANDIDATES, 6, rule)
        assert [p.order for p in plain.picks] == [p.order for p in raised.picks]


def test_a_concept_of_several_classes_belongs_to_each():
    _, _, texts = features()
    scores = torch.zeros(40, dtype=torch.float64)
    scores[13] = 1.0  # a candidate of classes 0 and 1
    found = select_concepts(scores, texts, CANDIDATES, 2, Criterion(1.0, 0.0))
    assert found.picks[0].order[0] == found.picks[1].order[0] == 13
    assert found.concepts.tolist().count(13) == 1


def test_too_few_candidates_are_all_taken():
    _, _, texts = features()
    scores = torch.arange(40, dtype=torch.float64)
    with pytest.warns(UserWarning, match=r"1 of 3 classes have fewer than 10 .*class 2 has 8"):
        found = select_concepts(scores, texts, CANDIDATES, 10)
    assert set(found.picks[2].order) == set(CANDIDATES[2])
    assert [len(picks.order) for picks in found.picks] == [10, 10, 8]


def test_a_set_of_concepts_in_words():
    images, labels, texts = features()
    classes = ("bird", "cat", "ship")
    owners = [
        tuple(n for n, own in zip(classes, CANDIDATES, strict=True) if i in own) for i in range(40)
    ]
    owned = [i for i in range(40) if owners[i]]
    words = ConceptSet("toy", classes, tuple(Concept(f"concept {i}", owners[i]) for i in owned))
    found = choose(words, texts[owned], images, labels, 4)
    rule = Criterion()
    scores = rule.scores(images, labels, texts[owned], 3)
    candidates = [[owned.index(i) for i in sorted(own)] for own in CANDIDATES]
    expected = select_concepts(scores, texts[owned], candidates, 4).concepts.tolist()
    assert found.texts == tuple(f"concept {owned[i]}" for i in expected)
    assert all(one.owners == owners[int(one.text.split()[1])] for one in found.concepts)


def test_twice_the_same():
    images, labels, texts = features()
    rule = Criterion()
    runs = [
        select_concepts(rule.scores(images, labels, texts, 3), texts, CANDIDATES, 6)
        for _ in range(2)
    ]
    assert runs[0].picks == runs[1].picks


def test_selection_tells_classes_apart():
    # Class y's images lie along direction y; a concept that names the direction must beat vague ones.
    directions = torch.eye(3, 8)
    random = torch.Generator().manual_seed(0)
    images = directions.repeat_interleave(10, 0) + 0.05 * torch.randn(30, 8, generator=random)
    vague = torch.ones(9, 8) + 0.1 * torch.randn(9, 8, generator=random)
    texts = torch.cat([directions, vague])
    candidates = [[y, *range(3 + 3 * y, 6 + 3 * y)] for y in range(3)]
    for score in ("mutual_information", "negative_entropy"):
        rule = Criterion(score=score)
        scores = rule.scores(images, torch.arange(3).repeat_interleave(10), texts, 3)
        found = select_concepts(scores, texts, candidates, 1, rule)
        assert [picks.order for picks in found.picks] == [(0,), (1,), (2,)]


def test_a_wrong_argument_is_one_sentence():
    _, _, texts = features()
    scores = torch.zeros(40)
    for candidates, count, sentence in (
        ([[0, 1], []], 1, "class 1 has none"),
        ([[0, 1, 0]], 1, "class 0 lists a concept twice"),
        ([[0, 40]], 1, "class 0 lists 0 to 40 of 40 concepts"),
        ([[-1, 4]], 1, "class 0 lists -1 to 4 of 40 concepts"),
        ([[0, 1]], 0, "count: 0 concepts"),
    ):
        with pytest.raises(ValueError, match=sentence):
            select_concepts(scores, texts, candidates, count)
    with pytest.raises(ValueError, match="scores: 3 for 40 concepts"):
        select_concepts(scores[:3], texts, [[0, 1]], 1)
    with pytest.raises(ValueError, match="not all numbers of the embeddings are finite"):
        select_concepts(scores, texts * torch.nan, [[0, 1]], 1)
    with pytest.raises(ValueError, match="coverage: -1"):
        Criterion(coverage=-1)
