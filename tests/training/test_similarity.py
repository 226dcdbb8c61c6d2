"""Similarity maps after training: a slow loop over pairs of samples, from features read by a hook."""

import numpy as np
import pytest
import torch

from tests.training.small import recipe
from tests.training.test_runs import execute
from tutelage.execution.look import open_look
from tutelage.recipe.config import Recipe, parse
from tutelage.report.context import ReportContext
from tutelage.report.panels.similarity.section import section
from tutelage.runs.ledger import read_experiment
from tutelage.runs.similarity import read_similarity
from tutelage.training.similarity import merging_of


def annealed(whole):
    whole["stages"] = {
        "sig": {"network": {"depth": 10, "width": 2}, "seed": 0},
        "pi": whole["stages"]["pi"],
        "alone": {},
        "annsp": {"teachers": ["sig", "pi"], "distiller": {"similarity": {
            "type": "MergedSimilarity", "weights": {"sig": 0.7, "pi": 0.3}, "taps": ["stage2"],
            "coefficient": 10}}},
    }  # fmt: skip
    whole["distiller"]["soft"]["weighting"] = {"type": "Uniform"}
    whole["train"]["epochs"] = 1
    whole["network"] = {"type": "WideResNet", "depth": 10, "width": 1}


def slow_map(features):
    """Row by row: inner products of all pairs."""
    flat = features.reshape(len(features), -1)
    return np.array([[float(np.dot(a, b)) for b in flat] for a in flat])


def unit_rows(values):
    return np.array([row / np.sqrt((row**2).sum()) for row in values])


@pytest.mark.slow
def test_maps_and_distances_are_those_of_a_loop(tmp_path):
    folder = execute(tmp_path, recipe(annealed))
    assert section(ReportContext(read_experiment(folder))) is None
    look = open_look(folder, "similarity", ["alone", "annsp"], None, None, tmp_path, "cpu")
    look.carry_out(lambda *_: None)
    found, loops = read_similarity(folder), {}
    assert found.header.stages == ("sig", "pi", "alone", "annsp")
    assert (found.header.source, found.header.taps) == ("annsp", ("stage2",))
    assert (np.diff(found.labels) >= 0).all()
    runs = {run.stage: run for run in read_experiment(folder).runs}
    assert set(found.index) <= set(runs["alone"].predictions().index)
    for stage, run in runs.items():
        looked = look.opened(run)
        network = looked.network().eval()
        with torch.no_grad():
            output = network(looked.samples(network).take(torch.from_numpy(found.index)))
        loops[stage] = slow_map(output.features["stage2"].double().numpy())
    merged = unit_rows(0.7 * loops["sig"] + 0.3 * loops["pi"])
    np.testing.assert_allclose(found.merged[0], merged, atol=2e-3)
    distances = {one.stage: one.distance for one in found.header.distances}
    for place, stage in enumerate(found.header.stages):
        np.testing.assert_allclose(found.maps[place, 0], unit_rows(loops[stage]), atol=2e-3)
        apart = (unit_rows(loops[stage]) - merged) ** 2
        assert distances[stage] == pytest.approx(apart.mean(), rel=1e-3)
    made = section(ReportContext(read_experiment(folder)))
    lines = made.figures[0].drawing.data.splitlines()
    assert len(lines) == 1 + 5 * len(found.index)  # four networks and the merged map
    assert "sig 70 % and pi 30 %, weighed as annsp does" in made.intro


def test_without_merged_similarity_teachers_weigh_the_same():
    whole = recipe(annealed)
    whole["stages"]["annsp"].pop("distiller")
    merging = merging_of(parse(Recipe, whole, ""), ["sig", "pi"])
    assert (merging.weights, merging.source) == ({"sig": 0.5, "pi": 0.5}, "")
    assert merging.order == "normalise_then_merge"
