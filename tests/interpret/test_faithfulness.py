import json
import re
from pathlib import Path

import pytest
import torch

from tests.interpret.doubles import Asking, Linear, inputs
from tutelage.interpret import (
    ablate,
    attention_map,
    compare,
    concept_accuracies,
    contribution_map,
    deletion,
    faithfulness,
    infidelity,
    max_sensitivity,
    removal,
    sparseness,
)
from tutelage.models import ConceptTransformer, WideResNet


def test_one_number_for_each_measure_whatever_the_batches():
    network, x = Asking(3, (2, 4), 5), inputs(10, 3, 2, 4)
    concepts = {"spatial": (inputs(10, 2, 4, 3, seed=4) > 0).float()}
    concepts["spatial"][3:6] = torch.nan
    found = faithfulness(network, x, concepts, batch_size=10)
    json.dumps(found, allow_nan=False)
    assert found["samples"] == 10
    assert found["additivity_error"] < 1e-5
    assert found["ablation_error"] < 1e-5
    curves = compare(network, x)
    for name in ("contribution", "attention", "random"):
        falling, rising = curves[name]
        assert found["deletion"][name] == pytest.approx(float(falling.area.mean()), abs=1e-6)
        assert found["insertion"][name] == pytest.approx(float(rising.area.mean()), abs=1e-6)
    agreed = concept_accuracies(network.explain(x), concepts)["spatial"]
    assert found["concept_accuracy"] == {"spatial": pytest.approx(float(agreed.nanmean()))}
    assert found["stability"] == {"logits": 0.0, "attention": 0.0, "top": 1.0}
    one = ablate(network, x)["spatial"]
    turned = sum(bool(one.turned[b, one.claimed[b].argmax()]) for b in range(10)) / 10
    assert found["turned"] == pytest.approx(turned)
    smaller = faithfulness(network, x, concepts, batch_size=4)
    for key in ("turned", "concept_accuracy"):
        assert smaller[key] == pytest.approx(found[key])
    for key in ("deletion", "insertion", "concept_deletion", "concept_insertion"):
        for name in ("contribution", "attention"):
            assert smaller[key][name] == pytest.approx(found[key][name], abs=1e-5)


def test_the_gain_over_several_random_orders_and_its_error():
    network, x = Linear(3, (4, 4), 5, seed=2), inputs(40, 3, 4, 4)
    found = faithfulness(network, x, batch_size=40)
    curves = compare(network, x)
    for measure, i, way in (("deletion", 0, 1), ("insertion", 1, -1)):
        own, control = (curves[name][i].area.double() for name in ("contribution", "random"))
        gains = way * (control - own)
        assert found["gain"][measure] == pytest.approx(float(gains.mean()), abs=1e-6)
        assert found["gain_error"][measure] == pytest.approx(float(gains.std()) / 40**0.5, abs=1e-6)
        assert (
            found["gain"][measure] > 2 * found["gain_error"][measure]
        )  # contributions are exact here
    assert set(found["gain"]) == {"deletion", "insertion", "concept_deletion", "concept_insertion"}


def test_maps_are_measured_beyond_their_order():
    network, x = Linear(3, (4, 4), 5, seed=2), inputs(10, 3, 4, 4)
    found = faithfulness(network, x, batch_size=10)
    classes = network(x).logits.argmax(dim=1)

    def parts(z, own):
        return contribution_map(network.explain(z), own).detach()

    attention = attention_map(network.explain(x))
    one = infidelity(lambda z: network(z).logits, x, attention, classes, removal((4, 4)))
    assert found["unexplained"]["contribution"] < 1e-8  # a linear network does what it says
    assert found["unexplained"]["attention"] == pytest.approx(float(one.unexplained.mean()))
    assert found["unexplained"]["random"] > 0.1
    assert set(found["max_sensitivity"]) == {"contribution", "attention"}
    moved = max_sensitivity(parts, x, classes)
    assert found["max_sensitivity"]["contribution"] == pytest.approx(float(moved.mean()), rel=1e-4)
    for name, drawn in (("contribution", parts(x, classes)), ("attention", attention)):
        assert found["sparseness"][name] == pytest.approx(float(sparseness(drawn).mean()), rel=1e-4)
    assert "unexplained" not in faithfulness(network, x, rankings=())


def test_the_control_is_a_mean_of_orders():
    network, x = Linear(3, (4, 4), 5, seed=2), inputs(6, 3, 4, 4)
    classes = network(x).logits.argmax(dim=1)
    generator = torch.Generator().manual_seed(0)
    areas = [
        deletion(
            lambda x: network(x).logits,
            x,
            torch.rand(6, 4, 4, generator=generator),
            classes,
            steps=16,
        ).area
        for _ in range(5)
    ]
    control = compare(network, x, rankings=("random",))["random"][0].area
    torch.testing.assert_close(control, torch.stack(areas).mean(dim=0))


def test_a_lie_shows_in_the_numbers():
    found = faithfulness(Linear(3, (4,), 5, lie=0.25), inputs(6, 3, 4))
    assert found["additivity_error"] == pytest.approx(3.0, abs=1e-4)
    assert found["ablation_error"] == pytest.approx(1.0, abs=1e-4)


@pytest.mark.parametrize("source", ["bilevel", "implicit", "sampled", "table"])
@pytest.mark.parametrize("shape", [(3, 16, 16), (2, 32)])
def test_a_concept_transformer_says_what_it_does(shape, source):
    torch.manual_seed(0)
    network = ConceptTransformer(
        shape,
        4,
        network=WideResNet(shape[0], 4, depth=10, dimensions=len(shape) - 1),
        global_concepts=3,
        spatial_concepts=["a", "b", "c", "d", "e"],
        source=source,
    )
    for p in network.parameters():  # positions start at zero: move everything
        p.data += 0.05 * torch.randn(p.shape, generator=torch.Generator().manual_seed(1))
    rankings = ("contribution", "random", "integrated_gradients", "occlusion")
    found = faithfulness(network, inputs(8, *shape), rankings=rankings, steps=4)
    assert found["additivity_error"] < 1e-5
    assert found["ablation_error"] < 1e-5
    assert set(found["deletion"]) == set(rankings)
    assert found["stability"]["logits"] < 1e-6


def test_the_example_of_the_docs_runs():
    names = {}
    torch.manual_seed(0)
    for code in re.findall(r"```python\n(.*?)```", Path("docs/explanations.md").read_text(), re.S):
        exec(code, names)
    assert names["told"].unexplained.shape == names["moved"].shape == names["hits"].shape == (8,)
    assert names["lost"].error.max() < 1e-5
    assert names["maps"].shape == (8, 8, 32, 32)
    assert names["best"].shape == (8, 5)
    assert set(names["curves"]) == {"contribution", "attention", "random"}


def test_slots_that_are_drawn_in_evaluation_are_found_out():
    torch.manual_seed(0)
    network = ConceptTransformer(
        (2, 32), 4, network=WideResNet(2, 4, depth=10, dimensions=1), spatial_concepts=5,
        source="sampled", sample_in_evaluation=True,
    )  # fmt: skip
    found = faithfulness(network, inputs(8, 2, 32), steps=4)
    assert found["stability"]["logits"] > 1e-3
