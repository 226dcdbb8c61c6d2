"""Where networks look: maps and angles by plain loops, a real run looked at afterwards."""

import csv
import io
import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from tests.training.small import recipe
from tests.training.test_runs import execute
from tutelage.errors import UserError
from tutelage.execution.look import open_look
from tutelage.losses.angular_margin import looking_angles
from tutelage.report.context import ReportContext
from tutelage.report.panels.attention.section import section
from tutelage.runs.attention import attention_path, read_attention
from tutelage.runs.ledger import read_experiment


def by_loop(feature):
    """Return angle and whether the network looks there, of each position of one sample [channels, positions]."""
    energy = [sum(float(v) ** 2 for v in column) for column in feature.T]
    length = math.sqrt(sum(e * e for e in energy)) + 1e-6
    q = [e / length for e in energy]
    middle = (min(q) + max(q)) / 2
    return [math.acos(min(v, 1 - 1e-7)) for v in q], [v > middle for v in q]


@pytest.mark.parametrize("shape", [(5, 12), (3, 4, 5)])
def test_angles_are_those_of_a_loop(shape):
    torch.manual_seed(0)
    feature = torch.randn(4, *shape, dtype=torch.float64)
    angles, looks = looking_angles(feature)
    for sample, a, chosen in zip(feature, angles, looks, strict=True):
        expected, there = by_loop(sample.flatten(1).numpy())
        np.testing.assert_allclose(a.flatten().numpy(), expected, atol=1e-5)
        assert chosen.flatten().tolist() == there


def two_stages(whole):
    whole["stages"] = {"pi": {"input": "pi", "seed": 0}, "alone": {}, "base": {"teachers": ["pi"]}}
    whole["distiller"]["soft"]["weighting"] = {"type": "Uniform"}
    whole["train"]["epochs"] = 1


@pytest.fixture(scope="module")
def looked(tmp_path_factory):
    root = tmp_path_factory.mktemp("attention")
    folder = execute(root, recipe(two_stages))
    assert section(ReportContext(read_experiment(folder))) is None  # nobody has looked
    look = open_look(folder, "attention", [], None, None, root, "cpu")
    assert look.cost().startswith("attention: 3 networks")
    look.carry_out(lambda *_: None)
    return folder, look


def test_maps_are_the_same_samples_and_those_of_the_features(looked):
    folder, look = looked
    runs = {run.stage: run for run in read_experiment(folder).runs}
    found = {stage: run.attention() for stage, run in runs.items()}
    for one in found.values():
        np.testing.assert_array_equal(one.index, found["alone"].index)
        assert len(set(one.labels.tolist())) == len(one.labels) == 3
        assert set(one.index) <= set(runs["alone"].predictions().index)
    assert found["pi"].inputs.ndim == 4 and found["alone"].inputs.ndim == 3
    opened = look.opened(runs["alone"])
    network, mine = opened.network().eval(), found["alone"]
    batch = opened.samples(network).take(torch.from_numpy(mine.index))
    with torch.no_grad():
        feature = network(batch).features["stage3"]
    energy = F.interpolate(feature.square().sum(dim=1, keepdim=True), 32, mode="linear").squeeze(1)
    for row, values in enumerate(energy.double().numpy()):
        scaled = (values - values.min()) / (values.max() - values.min())
        np.testing.assert_allclose(
            mine.maps["activation"][row], scaled, atol=2e-3
        )  # half precision


def test_angles_of_all_test_samples_are_counted(looked):
    folder, look = looked
    [run] = read_experiment(folder).of("base")
    opened, found = look.opened(run), run.attention()
    network = opened.network().eval()
    batch = opened.samples(network).take(torch.from_numpy(run.predictions().index))
    with torch.no_grad():
        features = network(batch).features["stage3"].double().numpy()
    counts = np.zeros((2, 90), int)
    for sample in features:
        for angle, there in zip(*by_loop(sample), strict=True):
            counts[0 if there else 1, min(89, int(math.degrees(angle)))] += 1
    assert found.inside.sum() + found.outside.sum() == counts.sum() == features[:, 0].size
    assert (
        np.abs(np.stack([found.inside, found.outside]) - counts).sum() <= 4
    )  # at a border, by rounding


def test_the_panel_draws_them_with_their_data(looked):
    folder, _ = looked
    made = section(ReportContext(read_experiment(folder)))
    assert [figure.title for figure in made.figures][:2] == [
        "Activation",
        "Evidence for the true class",
    ]
    rows = list(csv.DictReader(io.StringIO(made.figures[0].drawing.data)))
    assert {row["stage"] for row in rows} == {"pi", "alone", "base"}
    angles = list(csv.DictReader(io.StringIO(made.figures[-1].drawing.data)))
    assert len(angles) == 3 * 2 * 90
    for row in csv.DictReader(io.StringIO(made.tables[0].csv())):
        mine = [a for a in angles if a["stage"] == row["stage"]]
        means = []
        for where in ("where it looks", "elsewhere"):
            some = [
                (float(a["degrees"]) + 0.5, int(a["positions"]))
                for a in mine
                if a["where"] == where
            ]
            means.append(sum(d * n for d, n in some) / sum(n for _, n in some))
        assert float(row["gap"]) == pytest.approx(means[1] - means[0])


def test_what_is_there_is_not_made_again_and_damage_is_told(looked, tmp_path):
    folder, look = looked
    [run] = read_experiment(folder).of("alone")
    path = attention_path(run.folder)
    before = path.stat().st_mtime_ns
    look.carry_out(lambda *_: None)
    assert path.stat().st_mtime_ns == before
    with pytest.raises(UserError, match="is of another run"):
        read_attention(run.folder, "other")
    (tmp_path / "attention.npz").write_bytes(path.read_bytes()[:200])
    with pytest.raises(UserError):
        read_attention(tmp_path, run.fingerprint)
