"""Heads of cosines: any network under them, the loss by hand, what is deployed, classes that were not taught."""

import json

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from tests.training.small import recipe
from tests.training.test_runs import execute, runs_of
from tutelage.errors import UserError
from tutelage.evaluate import assess_open_set
from tutelage.models import VGG, AngularHead, CifarResNet, MobileNetV2, Timm, WideResNet
from tutelage.objectives import MarginLabels
from tutelage.recipe.networks import load_network
from tutelage.report import write_report
from tutelage.runs.integrity import check_open_set
from tutelage.runs.open_set import OpenSet
from tutelage.runs.predictions import Predictions
from tutelage.types import Batch, Clock, Output, View

SIGNAL, IMAGE = (2, 32), (3, 32, 32)


class Vectors(nn.Module):
    """A module of somebody's own that returns embeddings."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(64, 5)

    def forward(self, x):
        return self.layer(x.flatten(1))


UNDER = {
    "WideResNet": lambda: (WideResNet(2, 4, depth=10, dimensions=1), SIGNAL),
    "CifarResNet": lambda: (CifarResNet(3, 4, depth=8), IMAGE),
    "VGG": lambda: (VGG(3, 4, depth=8), IMAGE),
    "MobileNetV2": lambda: (MobileNetV2(3, 4), IMAGE),
    "Timm": lambda: (Timm(3, 4, name="resnet18"), IMAGE),
    "a module": lambda: (Vectors(), SIGNAL),
}


@pytest.mark.parametrize("scale", [None, 30.0])
@pytest.mark.parametrize("name", UNDER)
def test_logits_are_cosines_with_the_classes_times_a_length(name, scale):
    if name == "Timm":
        pytest.importorskip("timm")
    torch.manual_seed(0)
    under, shape = UNDER[name]()
    network = AngularHead(4, shape, network=under, scale=scale).eval()
    with torch.no_grad():
        output = network(torch.randn(3, *shape))
    x = output.features["embedding"]
    assert x.shape[1] == network.directions.shape[1] and output.logits.shape == (3, 4)
    for i in range(3):
        for c in range(4):
            cosine = F.cosine_similarity(x[i], network.directions[c].detach(), dim=0)
            length = x[i].norm() if scale is None else scale
            assert output.logits[i, c].item() == pytest.approx(float(length * cosine), abs=1e-4)


def test_no_parameter_of_the_old_head_is_left():
    under = WideResNet(2, 4, depth=10, dimensions=1)
    before = sum(p.numel() for p in under.parameters())
    network = AngularHead(4, SIGNAL, network=under)
    assert sum(p.numel() for p in network.parameters()) == before - 4  # its bias
    assert not [name for name in network.state_dict() if "head" in name]


def test_it_starts_from_the_plain_network_without_its_head():
    torch.manual_seed(1)
    plain = WideResNet(2, 4, depth=10, dimensions=1).eval()
    network = AngularHead(4, SIGNAL, network=WideResNet(2, 4, depth=10, dimensions=1)).eval()
    network.start(plain)
    x = torch.randn(2, *SIGNAL)
    with torch.no_grad():
        assert torch.equal(network(x).features["embedding"], plain(x).features["embedding"])
    with pytest.raises(RuntimeError, match="has no"):
        network.start(CifarResNet(2, 4, depth=8, dimensions=1))


def test_what_is_no_embedding_is_refused():
    with pytest.raises(UserError, match=r"Identity returns \[1, 2, 32\] for one sample"):
        AngularHead(4, SIGNAL, network=nn.Identity())


@pytest.mark.parametrize(
    ("form", "margin", "scale"), [("additive", 0.35, 30.0), ("multiplicative", 2, None)]
)
def test_the_loss_of_a_batch_by_hand(form, margin, scale):
    torch.manual_seed(2)
    network = AngularHead(3, SIGNAL, network=Vectors(), scale=scale)
    x, labels = torch.randn(4, *SIGNAL), torch.tensor([0, 2, 1, 1])
    output = network(x)
    batch = Batch({}, labels, torch.arange(4))
    found = MarginLabels(form, margin)(View(output, {}, batch, Clock()))
    for i in range(4):
        e = output.features["embedding"][i]
        cosine = [float(F.cosine_similarity(e, w, dim=0)) for w in network.directions]
        own = cosine[labels[i]]
        angle = np.arccos(own)
        k = int(2 * angle / np.pi)
        harder = own - 0.35 if form == "additive" else (-1) ** k * np.cos(2 * angle) - 2 * k
        length = float(e.norm()) if scale is None else scale
        logits = [length * (harder if c == labels[i] else v) for c, v in enumerate(cosine)]
        expected = np.log(np.sum(np.exp(logits))) - logits[labels[i]]
        assert found[i].item() == pytest.approx(expected, rel=1e-4)


def test_samples_without_a_label_do_not_count():
    torch.manual_seed(3)
    output = AngularHead(3, SIGNAL, network=Vectors())(torch.randn(4, *SIGNAL))
    labels = torch.tensor([0, -1, 2, -1])

    def loss(rows, of):
        one = Output(output.logits[rows], {k: v[rows] for k, v in output.features.items()})
        return MarginLabels()(View(one, {}, Batch({}, of, torch.arange(len(of))), Clock()))

    some, known = loss([0, 1, 2, 3], labels), loss([0, 2], labels[[0, 2]])
    assert some[[1, 3]].tolist() == [0, 0]
    assert some.mean().item() == pytest.approx(known.mean().item())


def test_margins_out_of_range_and_other_heads_are_refused():
    for form, margin in (("multiplicative", 1.35), ("multiplicative", 0), ("additive", -0.1)):
        with pytest.raises(UserError, match="margin"):
            MarginLabels(form, margin)
    output = WideResNet(2, 4, depth=10, dimensions=1)(torch.randn(2, *SIGNAL))
    with pytest.raises(ValueError, match="cosine"):
        MarginLabels()(
            View(output, {}, Batch({}, torch.zeros(2, dtype=int), torch.arange(2)), Clock())
        )


def test_exported_it_is_a_plain_linear_head(tmp_path):
    onnx, runtime = pytest.importorskip("onnx"), pytest.importorskip("onnxruntime")
    network = AngularHead(4, SIGNAL, network=WideResNet(2, 4, depth=10, dimensions=1)).eval()

    class Logits(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, x):
            return self.network(x).logits

    x = torch.randn(1, *SIGNAL)
    torch.onnx.export(Logits().eval(), (x,), tmp_path / "it.onnx", dynamo=False)
    names = {node.op_type for node in onnx.load(tmp_path / "it.onnx").graph.node}
    assert not names & {"Acos", "Cos", "ScatterElements", "Floor"}  # the margin is not deployed
    session = runtime.InferenceSession(tmp_path / "it.onnx")
    (said,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
    np.testing.assert_allclose(said, network(x).logits.detach().numpy(), rtol=1e-3, atol=1e-3)


def test_an_open_set_by_hand():
    logits = torch.tensor([[3.0, 0, 9], [0, 2, 9], [0, 1, 9], [1.5, 0, 9], [0, 2, 9.0]])
    labels = torch.tensor([0, 0, 1, 2, 2])
    (told,) = assess_open_set(logits, labels, ("a", "b", "c"), ["a", "b"]).values()
    # Greatest known logits: 3, 2, 1 of known samples, 1.5 and 2 of unknown ones.
    assert told["auroc_logit"] == pytest.approx((2 + 1.5 + 0) / 6)
    assert (told["n_known"], told["n_unknown"], told["known"]) == (3, 2, ["a", "b"])
    assert told["accuracy"] == pytest.approx(2 / 3)  # the third logit is nobody's
    assert assess_open_set(logits, labels, ("a", "b", "c"), ["a", "b", "c"]) == {}


@pytest.mark.slow
def test_stages_of_some_classes_are_evaluated_on_the_others(tmp_path):
    known = ["synthetic activity 1", "synthetic activity 3"]
    head = {"type": "AngularHead", "network": {"type": "WideResNet", "depth": 10}}

    def change(content):
        content["stages"] = {
            "plain": {"train_classes": known},
            "angular": {
                "train_classes": known,
                "network": head,
                "distiller": {"labels": {"type": "MarginLabels", "margin": 0.2}},
            },
            "all": {},
        }
        content |= {"baseline": "plain", "folds": [0, 1, 2], "modalities": {}, "distiller": {}}

    folder = execute(tmp_path, recipe(change))
    listed = json.loads((folder / "experiment.json").read_text())["runs"]
    for run in listed:
        path = (folder / run["path"]).resolve()
        told = json.loads((path / "evaluation.json").read_text())["test"].get("open_set")
        if run["stage"] == "all":
            assert told is None
            continue
        with np.load(path / "predictions-test.npz") as said:
            values, labels = said["logits"][:, [0, 2]].max(1), said["labels"]
        ours, others = values[labels != 1], values[labels == 1]
        pairs = (ours[:, None] > others).mean() + 0.5 * (ours[:, None] == others).mean()
        assert told["auroc_logit"] == pytest.approx(pairs)
    network, _ = load_network(runs_of(folder)["angular", 0] / "best.safetensors")
    assert isinstance(network.network, AngularHead)
    page = write_report(folder).read_text()
    assert "Classes that were not taught" in page and "AUROC, logit" in page


def test_an_open_set_that_the_predictions_contradict_is_refused():
    said = Predictions(
        np.arange(3),
        np.array([0, 1, 2]),
        np.full(3, ""),
        np.array([[2.0, 1, 0], [2, 1, 0], [0, 1, 2]]),
    )
    names = ("a", "b", "c")
    check_open_set(OpenSet(("a", "b"), 2, 1, 0.5, 0.5, 0.5), said, names, "here")
    many = Predictions(*(np.repeat(values, 5, axis=0) for values in vars(said).values()))
    for wrong, predictions, sentence in (
        (OpenSet(("a", "z"), 2, 1, 0.5, 0.5, 0.5), said, "'z', which is no class"),
        (OpenSet(("a", "b"), 1, 2, 0.5, 0.5, 0.5), said, "predictions 2 and 1"),
        (OpenSet(("a",), 5, 10, 0.0, 0.5, 0.5), many, r"accuracy is 0\.0000"),
    ):
        with pytest.raises(UserError, match=sentence):
            check_open_set(wrong, predictions, names, "here")
