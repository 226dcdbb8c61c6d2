"""Between two students: ends are the students themselves, places are those of a plain loop."""

import copy
import csv
import io

import numpy as np
import pytest
import torch
from torch import nn

from tests.training.small import recipe
from tests.training.test_runs import execute
from tutelage.errors import UserError
from tutelage.execution.look import open_look
from tutelage.models import On, WideResNet
from tutelage.report.context import ReportContext
from tutelage.report.panels.interpolation.section import section
from tutelage.runs.interpolation import CURVES, read_interpolation
from tutelage.runs.ledger import read_experiment
from tutelage.training.interpolation import ETA, between, interpolated, with_statistics


def network(seed):
    torch.manual_seed(seed)
    return On("signal", WideResNet(2, 3, depth=10, dimensions=1), [0.0] * 2, [1.0] * 2)


@pytest.mark.parametrize("eta", [-1.0, 0.0, 0.3, 1.0, 2.0])
def test_parameters_lie_on_the_line(eta):
    one, two = network(0), network(1)
    before = copy.deepcopy(one.state_dict())
    found = dict(between(one, two, eta).named_parameters())
    for (name, a), b in zip(one.named_parameters(), two.parameters(), strict=True):
        torch.testing.assert_close(found[name], (1 - eta) * a + eta * b, rtol=1e-5, atol=1e-6)
    for name, value in one.state_dict().items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0)


def test_statistics_are_the_means_over_batches():
    net, inputs = network(0), [torch.randn(8, 2, 32) * 3 + 1 for _ in range(3)]
    seen = []
    first = next(m for m in net.modules() if isinstance(m, nn.BatchNorm2d))
    handle = first.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    momentum = first.momentum
    with_statistics(net, inputs)
    handle.remove()
    means = torch.stack([x.mean(dim=(0, 2, 3)) for x in seen]).mean(dim=0)
    variances = torch.stack([x.var(dim=(0, 2, 3)) for x in seen]).mean(dim=0)
    torch.testing.assert_close(first.running_mean, means, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(first.running_var, variances, rtol=1e-4, atol=1e-5)
    assert first.momentum == momentum and not first.training


def stages(whole):
    whole["stages"] = {
        "sig": {"network": {"depth": 10, "width": 2}},
        "alone": {},
        "base": {"teachers": ["sig"]},
    }
    whole["distiller"]["soft"]["weighting"] = {"type": "Uniform"}
    whole["train"]["epochs"] = 2
    whole["folds"] = [0, 1]


@pytest.fixture(scope="module")
def looked(tmp_path_factory):
    root = tmp_path_factory.mktemp("interpolation")
    folder = execute(root, recipe(stages))
    assert section(ReportContext(read_experiment(folder))) is None
    look = open_look(folder, "interpolation", ["alone", "base"], None, None, root, "cpu")
    assert look.cost().startswith("interpolation: alone to base, 2 pairs at 16 places")
    look.carry_out(lambda *_: None)
    return folder, look, root


def test_the_ends_are_the_students_with_statistics_of_the_training_samples(looked):
    folder, look, _ = looked
    found = read_interpolation(folder)
    assert found.eta.tolist() == ETA.tolist() and set(found.curves) == set(CURVES)
    for row, pair in enumerate(found.header.pairs):
        for stage, eta in (("alone", 0.0), ("base", 1.0)):
            [run] = [one for one in read_experiment(folder).of(stage) if one.fold == pair.fold]
            opened = look.opened(run)
            net, data = opened.network(), look.data(pair.fold)
            samples = opened.samples(net)
            train = torch.from_numpy(data.split.train)
            blocks = [
                samples.take(train[i : i + 256]).inputs["signal"] for i in range(0, len(train), 256)
            ]
            with_statistics(net, blocks)
            right = total = 0
            for sample in data.split.test.tolist():
                with torch.no_grad():
                    said = net(samples.take(torch.tensor([sample]))).logits.argmax()
                right += int(said) == int(data.dataset.labels[sample])
                total += 1
            place = int(np.flatnonzero(found.eta == eta)[0])
            assert found.curves["test_accuracy"][row, place] == pytest.approx(
                right / total, abs=1 / total
            )


def test_the_panel_has_its_data(looked):
    folder, _, _ = looked
    made = section(ReportContext(read_experiment(folder)))
    rows = list(csv.DictReader(io.StringIO(made.figures[0].drawing.data)))
    assert len(rows) == 2 * 2 * len(ETA)
    found = read_interpolation(folder)
    row = next(
        r for r in rows if (r["quantity"], r["side"], float(r["eta"])) == ("loss", "test", 1.0)
    )
    place = int(np.flatnonzero(found.eta == 1.0)[0])
    assert float(row["mean"]) == pytest.approx(found.curves["test_loss"][:, place].mean())


def test_networks_of_other_sizes_are_refused(tmp_path, looked):
    folder, look, root = looked
    wide = next(run for run in read_experiment(folder).of("sig"))
    small = next(run for run in read_experiment(folder).of("alone") if run.fold == wide.fold)
    with pytest.raises(UserError, match="have other layers or sizes"):
        interpolated(look.opened(wide), look.opened(small))
    with pytest.raises(UserError, match="found no two students of one fold and seed"):
        open_look(folder, "interpolation", ["base"], None, None, root, "cpu").cost()
