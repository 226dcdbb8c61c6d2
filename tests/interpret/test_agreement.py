import math

import pytest
import torch

from tests.interpret.doubles import inputs
from tutelage.interpret import (
    comparable,
    concept_accuracies,
    concept_accuracy,
    concept_chances,
    mass_inside,
    mentioned,
)
from tutelage.types import ConceptStream, Explanation


def test_accuracy_by_the_slow_way_with_rows_that_are_not_annotated():
    attention = inputs(9, 4, 3, 5).softmax(dim=3)
    annotated = (inputs(9, 4, 3, 5, seed=2) > 0.4).float()
    annotated[inputs(9, 4, 3, seed=3) > 0.3] = math.nan
    annotated[4] = math.nan
    annotated[5, :, :, 2] = math.nan  # part of a row is enough
    annotated[6] = 0
    found = concept_accuracy(attention, annotated)
    for b in range(9):
        right, rows = 0, 0
        for i in range(4):
            for j in range(3):
                row = annotated[b, i, j].tolist()
                if any(math.isnan(v) for v in row) or sum(row) == 0:
                    continue
                rows += 1
                right += row[int(attention[b, i, j].argmax())] > 0
        if rows:
            assert found[b].item() == pytest.approx(right / rows)
        else:
            assert found[b].isnan()
    assert found[[4, 5, 6]].isnan().all()


def test_for_one_hot_it_is_argmax_against_argmax():
    attention = inputs(50, 6).softmax(dim=1)
    truth = torch.arange(50) % 6
    hot = torch.nn.functional.one_hot(truth, 6).float()
    assert torch.equal(concept_accuracy(attention, hot), (attention.argmax(dim=1) == truth).float())
    assert concept_accuracy(hot, hot).mean() == 1
    with pytest.raises(ValueError, match=r"attention \[50, 6\] and annotations \[50, 5\] differ"):
        concept_accuracy(attention, hot[:, :5])


def explanation(seed=0):
    whole = inputs(4, 1, 3, seed=seed).mul(2).softmax(dim=2)
    places = inputs(4, 6, 5, seed=seed + 1).mul(3).softmax(dim=2)
    return Explanation(
        {
            "global": ConceptStream(("big", "small", "long"), (1,), whole, torch.zeros(4, 1, 3, 2)),
            "spatial": ConceptStream(tuple("abcde"), (2, 3), places, torch.zeros(4, 6, 5, 2)),
        },
        torch.zeros(4, 2),
    )


def test_each_stream_is_compared_with_its_annotations():
    shown = explanation()
    whole, places = (s.attention for s in shown.streams.values())
    concepts = {
        "global": torch.eye(3)[torch.arange(4) % 3],
        "spatial": (inputs(4, 2, 3, 5, seed=7) > 0).float(),
    }
    found = concept_accuracies(shown, concepts)
    assert torch.equal(found["global"], concept_accuracy(whole[:, 0], concepts["global"]))
    assert torch.equal(
        found["spatial"], concept_accuracy(places.view(4, 2, 3, 5), concepts["spatial"])
    )
    assert concept_accuracies(shown, {}) == {}
    # annotations of a finer grid: a place has what is annotated in it
    finer = concepts["spatial"].repeat_interleave(2, dim=1).repeat_interleave(3, dim=2)
    assert torch.equal(concept_accuracies(shown, {"spatial": finer})["spatial"], found["spatial"])
    with pytest.raises(ValueError, match="differ; allowed: one shape"):
        concept_accuracies(shown, {"global": torch.ones(4, 2)})


def test_the_accuracy_of_chance_is_the_part_of_annotated_concepts():
    concepts = {
        "global": torch.tensor([[1.0, 0, 0], [1, 1, 0], [0, 0, 0], [torch.nan, 1, 0]]),
        "spatial": (inputs(4, 2, 3, 5, seed=7) > 0).float(),
    }
    found = concept_chances(explanation(), concepts)
    torch.testing.assert_close(
        found["global"], torch.tensor([1 / 3, 2 / 3, torch.nan, torch.nan]), equal_nan=True
    )
    for sample in range(4):
        rows = [row for row in concepts["spatial"][sample].reshape(6, 5).tolist() if any(row)]
        wanted = sum(sum(row) / 5 for row in rows) / len(rows)
        assert float(found["spatial"][sample]) == pytest.approx(wanted)


def test_annotations_that_do_not_fit_are_known_before():
    spatial = explanation().streams["spatial"]  # places 2 x 3
    for shape in (
        (4, 5),
        (4, 2, 3, 5),
        (4, 4, 9, 5),
        (4, 1, 3, 5),
        (4, 3, 3, 5),
        (4, 6, 5),
        (4, 2, 3, 4),
    ):
        annotated = torch.ones(shape)
        found = comparable(spatial, annotated)
        try:
            concept_accuracies(explanation(), {"spatial": annotated})
        except ValueError:
            assert not found
        else:
            assert found


def test_what_stands_out_is_named():
    shown = explanation(seed=3)
    found = mentioned(shown, place=0.5, part=0.15, whole=0.4)
    for b in range(4):
        whole, places = shown.streams["global"], shown.streams["spatial"]
        named = [n for m, n in enumerate(whole.names) if whole.attention[b, 0, m] > 0.4]
        assert found[b]["global"] == named
        active = [p for p in range(6) if places.attention[b, p].max() > 0.5]
        named = [
            n
            for m, n in enumerate(places.names)
            if any(places.attention[b, p, m] > 0.15 for p in active)
        ]
        assert found[b]["spatial"] == named
    assert any(f["spatial"] for f in found)
    assert any(f["global"] for f in found)


def test_mass_by_the_slow_way():
    maps, inside = inputs(6, 3, 4), inputs(6, 3, 4, seed=2) > 0.5
    maps[2] = -maps[2].abs()
    found = mass_inside(maps, inside)
    for b in range(6):
        pairs = zip(maps[b].flatten().tolist(), inside[b].flatten().tolist(), strict=True)
        positive = [(v, yes) for v, yes in pairs if v > 0]
        if positive:
            wanted = sum(v for v, yes in positive if yes) / sum(v for v, _ in positive)
            assert found[b].item() == pytest.approx(wanted)
        else:
            assert found[b].isnan()
    assert found[2].isnan()
    assert mass_inside(torch.ones(1, 4), torch.tensor([[True, False, False, False]])).item() == 0.25
