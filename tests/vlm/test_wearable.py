"""A checkpoint that was trained at another rate and in another unit, as a teacher and as a frozen backbone."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from tests.recipe.test_mistakes import examine
from tests.training.test_runs import execute, runs_of
from tutelage.errors import UserError
from tutelage.vlm.door import Reads
from tutelage.vlm.wearable import WearableEncoder

GRAVITY = 9.80665
NAMES = ("still", "slow", "fast")
HERTZ = (0.0, 1.5, 6.0)


class PlainEncoder(nn.Module):
    """Someone else's network: no base class of ours, embeddings from one method, logits from ``forward``."""

    def __init__(self, classes: int = 3, head: bool = True) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv1d(3, 12, 9, stride=2), nn.ReLU(), nn.Conv1d(12, 12, 9, stride=2), nn.ReLU()
        )
        self.head = nn.Linear(12, classes) if head else nn.Identity()

    def forward(self, x):
        return self.head(self.body(x).mean(dim=2))


def recording(rate, unit, windows, seed, seconds=3.0):
    """Return windows of three axes and their classes: gravity and a shake of 0.4 g, as a sensor writes them."""
    random = np.random.default_rng(seed)
    labels = np.arange(windows) % 3
    t = np.arange(round(rate * seconds)) / rate
    phase = random.uniform(0, 2 * np.pi, (windows, 3, 1))
    shake = 0.4 * (labels > 0) * np.ones(windows)
    x = shake[:, None, None] * np.sin(
        2 * np.pi * np.array(HERTZ)[labels][:, None, None] * t + phase
    )
    x += random.normal(0, 0.05, x.shape)
    x[:, 2] += 1
    return (x * (GRAVITY if unit == "m/s2" else 1)).astype(np.float32), labels


@pytest.fixture(scope="module")
def open_encoder(tmp_path_factory):
    """Train a network on 100 Hz and m/s2, standardised, with its classes in an order of its own."""
    folder = tmp_path_factory.mktemp("open")
    x, labels = recording(100, "m/s2", 240, seed=1)
    mean, std = x.mean((0, 2)), x.std((0, 2))
    x = torch.from_numpy((x - mean[:, None]) / std[:, None])
    own = torch.tensor([2, 0, 1])[torch.from_numpy(labels)]  # slow, fast, still
    torch.manual_seed(0)
    network = PlainEncoder()
    optimizer = torch.optim.Adam(network.parameters(), 0.01)
    for _ in range(80):
        optimizer.zero_grad()
        nn.functional.cross_entropy(network(x), own).backward()
        optimizer.step()
    assert (network(x).argmax(1) == own).float().mean() > 0.98
    torch.save({"epoch": 80, "state_dict": network.state_dict()}, folder / "open.pt")
    named = {f"encoder.{name}": value.contiguous() for name, value in network.state_dict().items()}
    save_file(named | {"decoder.weight": torch.zeros(2)}, folder / "open.safetensors")
    about = {
        "rate": 100, "channels": ["acc-x", "acc-y", "acc-z"], "units": "m/s2",
        "mean": mean.tolist(), "std": std.tolist(), "length": 300,
    }  # fmt: skip
    return folder, about, network.eval()


@pytest.fixture
def content(open_encoder, tmp_path):
    """A recipe on 50 Hz and g, with another channel, and the columns of the encoder turned round."""
    folder, about, _ = open_encoder
    data = tmp_path / "data"
    data.mkdir()
    x, labels = recording(50, "g", 120, seed=2)
    other = np.random.default_rng(3).normal(size=x[:, :1].shape).astype(np.float32)
    np.save(data / "X.npy", np.concatenate([x[:, ::-1], other], axis=1))
    np.save(data / "y.npy", labels)
    np.save(data / "subjects.npy", np.array([f"s{i % 10}" for i in range(120)]))
    (data / "classes.txt").write_text("\n".join(NAMES))
    (data / "channels.txt").write_text("acc-z\nacc-y\nacc-x\nheart")
    encoder = {
        "type": "WearableEncoder", "network": {"type": "tests.vlm.test_wearable.PlainEncoder"},
        "weights": str(folder / "open.pt"), "reads": about, "units": "g", "gives": "logits",
        "classes": ["slow", "fast", "still"],
    }  # fmt: skip
    return {
        "data": {"type": "Arrays", "folder": str(data), "rate": 50},
        "split": {"type": "GroupedFolds", "folds": 3, "validation": 2},
        "modalities": {"open": {"type": "Embedding", "encoder": encoder}},
        "network": {"type": "WideResNet", "depth": 10, "width": 1},
        "train": {"epochs": 1, "batch_size": 16},
        "distiller": {"soft": {"type": "PerTeacher", "term": "SoftTargets"}},
        "stages": {
            "open": {"input": "open", "network": "", "train": {"epochs": 0}},
            "student": {"teachers": ["open"]},
        },
    }


def accuracy(runs, stage):
    return json.loads((runs[stage, 0] / "evaluation.json").read_text())["test"]["accuracy"]


def test_the_checkpoint_teaches_with_its_own_classes(content, tmp_path):
    content["stages"]["open"]["network"] = {"type": "Answered"}
    runs = runs_of(execute(tmp_path, content))
    assert accuracy(runs, "open") > 0.95


@pytest.mark.parametrize(("place", "value"), [("units", "m/s2"), ("rate", 100)])
def test_a_wrong_unit_or_rate_would_be_seen(content, tmp_path, place, value):
    content["stages"] = {"open": content["stages"]["open"] | {"network": {"type": "Answered"}}}
    if place == "units":
        content["modalities"]["open"]["encoder"]["units"] = value
    else:
        content["data"]["rate"] = value
        content["modalities"]["open"]["encoder"]["reads"] = {
            **content["modalities"]["open"]["encoder"]["reads"], "shorter": "repeat",
        }  # fmt: skip
    assert accuracy(runs_of(execute(tmp_path, content)), "open") < 0.8


def test_a_frozen_backbone_under_a_linear_probe(content, open_encoder, tmp_path):
    folder, _, network = open_encoder
    bare = PlainEncoder(head=False)
    bare.body.load_state_dict(network.body.state_dict())
    torch.save(bare.state_dict(), folder / "bare.pt")
    encoder = content["modalities"]["open"]["encoder"]
    encoder |= {
        "network": {"type": "tests.vlm.test_wearable.PlainEncoder", "head": False},
        "weights": str(folder / "bare.pt"),
        "gives": "embedding",
    }
    del encoder["classes"]
    content["stages"]["open"] = {
        "input": "open", "network": {"type": "LinearProbe"}, "train": {"epochs": 30, "learning_rate": 0.5},
    }  # fmt: skip
    runs = runs_of(execute(tmp_path, content))
    assert accuracy(runs, "open") > 0.9
    record = json.loads((runs["student", 0] / "run.json").read_text())
    assert set(record["teachers"]) == {"open"}


def source(open_encoder, **change):
    folder, about, _ = open_encoder
    given = {
        "network": PlainEncoder(), "weights": str(folder / "open.pt"), "reads": Reads(**about), "units": "g",
        "rate": 50, "channel_names": about["channels"], "class_names": list(NAMES),
        "classes": ["slow", "fast", "still"], "gives": "logits",
    } | change  # fmt: skip
    return WearableEncoder(**given)


def test_both_kinds_of_files_give_what_the_module_itself_gives(open_encoder):
    folder, about, network = open_encoder
    x, _ = recording(100, "m/s2", 6, seed=5)
    mean, std = (torch.tensor(about[key])[:, None] for key in ("mean", "std"))
    with torch.no_grad():
        expected = network((torch.from_numpy(x) - mean) / std)[:, [2, 0, 1]]
    for change in (
        {},
        {"weights": str(folder / "open.safetensors"), "under": "encoder."},
    ):
        encoder = source(open_encoder, rate=100, units="m/s2", **change).load()
        with torch.no_grad():
            found = encoder.encode_inputs(encoder.prepare(torch.from_numpy(x)))
        torch.testing.assert_close(found, expected)
    assert not any(p.requires_grad for p in encoder.parameters())


def test_what_decides_an_answer_decides_the_fingerprint(open_encoder):
    folder, about, _ = open_encoder
    first = source(open_encoder)
    assert source(open_encoder).fingerprint == first.fingerprint
    others = [
        source(open_encoder, rate=25), source(open_encoder, units="mg"),
        source(open_encoder, classes=["fast", "slow", "still"]),
        source(open_encoder, weights=str(folder / "open.safetensors")),
        source(open_encoder, reads=Reads(**about | {"mean": [0.0, 0.0, 1.0]})),
        source(open_encoder, gives="embedding"),
    ]  # fmt: skip
    assert len({first.fingerprint, *(other.fingerprint for other in others)}) == 7


def test_what_does_not_fit_is_one_sentence(content, open_encoder, tmp_path):
    with pytest.raises(UserError, match=r"does not fit PlainEncoder exactly \(differs: "):
        source(open_encoder, network=PlainEncoder(classes=4)).load()
    with pytest.raises(UserError, match=r"does not fit PlainEncoder exactly \(differs: "):
        source(open_encoder, weights=str(open_encoder[0] / "open.safetensors")).load()
    with pytest.raises(UserError, match=r"classes: found .*differs: run, still"):
        source(open_encoder, classes=["slow", "fast", "run"])
    with pytest.raises(UserError, match="reads signals alone"):
        source(open_encoder).embed_texts(["walking"])
    content["stages"] = {"open": content["stages"]["open"] | {"network": {"type": "Answered"}}}
    content["modalities"]["open"]["encoder"]["units"] = "rad/s"
    with pytest.raises(
        UserError, match=r"modalities\.open\.encoder: units: rad/s cannot become m/s2"
    ):
        examine(content, tmp_path)
