"""SimKD: the authors' projector, the adopted head, checkpoints without a teacher, and a whole run."""

import copy
import json

import numpy as np
import pytest
import torch
from torch import nn

from tests.doubles.waves import wave
from tests.training.small import recipe
from tutelage import losses
from tutelage.errors import UserError
from tutelage.evaluate import predict
from tutelage.execution import run
from tutelage.execution.workers import RunConfig
from tutelage.models import CifarResNet, MobileNetV2, ReusedHead, WideResNet, measure
from tutelage.recipe.config import Recipe, parse
from tutelage.recipe.data_spec import DataSpec, load_data
from tutelage.recipe.fold import Fold
from tutelage.recipe.instantiate import build
from tutelage.recipe.networks import load_network
from tutelage.recipe.resolve import resolve
from tutelage.terms import FeatureDistance
from tutelage.training.check import check
from tutelage.types import Batch, Clock, Output, View


def made(**changes):
    described = {
        "type": "ReusedHead",
        "network": {"type": "WideResNet", "depth": 10, "width": 1},
        "teacher": {"type": "WideResNet", "depth": 10, "width": 2},
        "active": False,
    }
    given = {"channels": 3, "classes": 5, "dimensions": changes.pop("dimensions", 1)}
    return build("tutelage.models", described | changes, "here", base=nn.Module, given=given)


def test_equals_the_authors_code():
    # DefangChen/SimKD@2b389c31ed7779aea31e7aaf0bb0f2d8b6ac2f01, models/util.py, SimKD(s_n=4, t_n=6, factor=2)
    # with a linear classifier on the mean over space; loss: nn.MSELoss.
    network = ReusedHead(
        3,
        network=CifarResNet(3, 3, depth=8, widths=(4, 4, 4, 4)),
        teacher=CifarResNet(3, 3, depth=8, widths=(6, 6, 6, 6)),
    ).double()
    assert sum(p.numel() for p in network.projector.parameters()) == 135
    kernels = [p for p in network.projector.parameters() if p.ndim == 4]
    with torch.no_grad():
        for number, kernel in enumerate(kernels):
            kernel.copy_(wave(*kernel.shape, step=0.37, phase=number))
        network.decoder.head.weight.copy_(wave(3, 6, step=0.9))
        network.decoder.head.bias.copy_(wave(3, step=0.4))
    fs = wave(2, 4, 8, 8, step=0.6, phase=0.3)
    ft = wave(2, 6, 8, 8, step=0.8, phase=0.1)
    network.encoder.encode = lambda x: {"stage3": x}
    golden = [
        (True, 0.9825482200570832, [0.2522049374752362, 0.7305370492425074, 0.8981623797076506]),
        (False, 2.529401365268311, [-2.583429108012384, -1.581048987075988, 0.7995020464356287]),
    ]
    for training, loss, logits in golden:  # the second sees the running statistics of the first
        network.train(training)
        found = network(fs)
        assert losses.mean_square(found.features["projected"], ft).mean().item() == pytest.approx(
            loss
        )
        assert found.logits[1].tolist() == pytest.approx(logits)


@pytest.mark.parametrize("dimensions", [1, 2])
def test_shapes_and_counts(dimensions):
    network = made(dimensions=dimensions)
    found = network(torch.zeros(2, 3, *(32,) * dimensions))
    space = (8,) * dimensions
    assert found.logits.shape == (2, 5)
    assert {name: tuple(f.shape[1:]) for name, f in found.features.items()} == {
        "stage1": (16, *(32,) * dimensions),
        "stage2": (32, *(16,) * dimensions),
        "stage3": (64, *space),
        "projected": (128, *space),
        "embedding": (128,),
    }
    alone = WideResNet(3, 5, depth=10, width=1, dimensions=dimensions)
    encoder = sum(p.numel() for p in alone.parameters()) - 2 * 64 - (64 * 5 + 5)
    kernel = 3**dimensions
    projector = 64 * 64 + 2 * 64 + kernel * 64 * 64 + 2 * 64 + 64 * 128 + 2 * 128
    head = 2 * 128 + 128 * 5 + 5
    shape = (3, *(32,) * dimensions)
    assert measure(network, shape).parameters == encoder + projector + head
    assert sum(p.numel() for p in network.parameters() if p.requires_grad) == encoder + projector


@pytest.mark.parametrize(
    "family",
    ["WideResNet", "CifarResNet", "ResNet", "VGG", "MobileNetV2", "ShuffleNetV1", "ShuffleNetV2"],
)
def test_every_family_can_lend_its_head_and_take_one(family):
    network = made(network=family, teacher="CifarResNet", dimensions=1)
    assert network(torch.zeros(2, 3, 64)).logits.shape == (2, 5)
    network = made(network="CifarResNet", teacher=family, dimensions=1)
    teacher = build(
        "tutelage.models", family, "t", given={"channels": 6, "classes": 5, "dimensions": 2}
    )
    network.adopt({"image": teacher}, {})
    teacher.eval()
    feature = torch.randn(2, network.projector[-1][0].out_channels, 3, 4)
    flat, _ = network.decoder.decode(feature.flatten(2))
    torch.testing.assert_close(flat, teacher.decode(feature)[0])


def test_the_head_is_the_teachers_and_stays_it():
    network = made()
    teacher = WideResNet(3, 5, depth=10, width=2, dimensions=1)
    with torch.no_grad():
        for value in teacher.state_dict().values():
            value.add_(torch.rand(value.shape).to(value.dtype))
    kept = copy.deepcopy(teacher.state_dict())
    assert network.adopt({"t": teacher}, {}) == {}
    network.train()
    assert not network.decoder.training
    assert network.encoder.training
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    x = torch.randn(8, 3, 32)
    before = network.encoder.stem.weight.clone()
    network(x).logits.square().mean().backward()
    optimizer.step()
    assert (network.encoder.stem.weight != before).any()
    head = network.decoder.state_dict()
    assert head.keys() == {key for key in kept if key.split(".")[0] in ("norm", "head")}
    assert all(torch.equal(value, kept[key]) for key, value in head.items())
    assert all(torch.equal(value, kept[key]) for key, value in teacher.state_dict().items())
    # A student whose projection equals the teacher's last stage predicts what the teacher predicts.
    teacher.eval()
    output = teacher(x)
    torch.testing.assert_close(network.decoder.decode(output.features["stage3"])[0], output.logits)


def test_students_start_from_the_same_numbers_whatever_they_predict_with():
    torch.manual_seed(3)
    alone = build(
        "tutelage.models",
        {"type": "WideResNet", "depth": 10, "width": 1},
        "here",
        given={"channels": 3, "classes": 5, "dimensions": 1},
    )
    states = []
    for order in (("network", "teacher"), ("teacher", "network")):
        torch.manual_seed(3)
        described = {key: {"type": "WideResNet", "depth": 10, "width": 1} for key in order}
        states.append(made(**described).state_dict())
    own = alone.state_dict()
    for key, value in states[0].items():
        assert torch.equal(value, states[1][key])
        part, _, name = key.partition(".")
        assert part != "encoder" or torch.equal(value, own[name])


@pytest.mark.parametrize(
    ("teachers", "sentence"),
    [
        ({}, r"needs exactly one teacher whose head it takes \(found: none\)"),
        ({"a": nn.Linear(1, 1), "b": nn.Linear(1, 1)}, r"\(found: a, b\)"),
        ({"a": WideResNet(3, 5, depth=10, width=1)}, "the head of 'a' .* other layers or sizes"),
        ({"a": MobileNetV2(3, 5)}, r"the head of 'a' \(MobileNetV2\)"),
    ],
)
def test_a_head_that_does_not_fit_is_refused(teachers, sentence):
    with pytest.raises(UserError, match=sentence):
        made().adopt(teachers, {})


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"factor": 0}, "factor: 0; allowed: 1 to the teacher's 128 channels"),
        ({"network": {"type": "Timm", "name": "resnet18"}}, "unknown network 'Timm'"),
        (
            {"teacher": {"type": "WideResNet", "deep": 10}},
            "here.teacher: WideResNet takes no 'deep'",
        ),
        (
            {"teacher": {"type": "WideResNet", "classes": 7}},
            "here.teacher.classes: follows from the data",
        ),
    ],
)
def test_impossible_descriptions_are_refused(changes, sentence):
    with pytest.raises(UserError, match=sentence):
        made(**changes)


def test_feature_distance_needs_equal_channels():
    s = Output(torch.zeros(4, 3), {"projected": wave(4, 6, 8, step=1.3)})
    t = Output(torch.zeros(4, 3), {"stage3": wave(4, 6, 5, 4, step=0.7)})
    view = View(s, {"t": t}, Batch({}, torch.zeros(4), torch.arange(4)), Clock())
    found = FeatureDistance()(s, t, view)
    for i in range(4):
        pooled = [
            [s.features["projected"][i, c, 2 * k : 2 * k + 2].mean() for k in range(4)]
            for c in range(6)
        ]
        target = t.features["stage3"][i].mean(dim=1)
        squares = [(pooled[c][k] - target[c, k]) ** 2 for c in range(6) for k in range(4)]
        assert found[i].item() == pytest.approx(sum(squares).item() / 24, rel=1e-9)
    with pytest.raises(ValueError, match="'projected' has 6 channels, teacher_tap 'stage3' has 5"):
        t = Output(torch.zeros(4, 3), {"stage3": torch.zeros(4, 5, 4)})
        FeatureDistance()(s, t, view)


def simkd(content):
    content["stages"] = {
        "pi": {"input": "pi", "network": {"type": "WideResNet", "depth": 10, "width": 2}},
        "alone": {},
        "simkd": {
            "teachers": ["pi"],
            "train": {"epochs": 4, "batch_size": 4, "learning_rate": 0.1},
            "network": {
                "type": "ReusedHead",
                "network": {"type": "WideResNet", "depth": 10, "width": 1},
                "teacher": {"type": "WideResNet", "depth": 10, "width": 2},
                "active": False,
            },
            "distiller": {
                "labels": None,
                "soft": None,
                "features": {"type": "PerTeacher", "term": "FeatureDistance"},
            },
        },
    }


def test_a_whole_run(tmp_path):
    """Checked, trained, and rebuilt from its checkpoint without any teacher."""
    content = parse(Recipe, recipe(simkd), "")
    data = Fold.of(DataSpec.of(content), load_data(content.data, None, None), 0, tmp_path)
    checked = {found.stage: found for found in check(resolve(content, 0, data), data)}
    assert checked["simkd"].reach.keys() == {"features"}
    folder = run.execute(content, "it", RunConfig(tmp_path / "runs", tmp_path, "cpu", 1))
    listed = json.loads((folder / "experiment.json").read_text())["runs"]
    paths = {found["stage"]: (folder / found["path"]).resolve() for found in listed}
    student, spec = load_network(paths["simkd"] / "best.safetensors")
    teacher, _ = load_network(paths["pi"] / "best.safetensors")
    assert spec["modality"] == "signal"
    head, theirs = student.network.decoder.state_dict(), teacher.network.state_dict()
    assert head
    assert all(torch.equal(value, theirs[key]) for key, value in head.items())
    assert not any(p.requires_grad for p in student.network.decoder.parameters())
    record = json.loads((paths["simkd"] / "run.json").read_text())
    counted = sum(p.numel() for p in student.network.parameters())
    assert record["network"]["parameters"] == checked["simkd"].parameters == counted
    # The exported student on the signal alone gives the recorded logits of the test split.
    logits = predict(student, data.samples(["signal"]), torch.from_numpy(data.split.test))
    with np.load(paths["simkd"] / "predictions-test.npz", allow_pickle=False) as recorded:
        np.testing.assert_array_equal(logits.numpy(), recorded["logits"])
