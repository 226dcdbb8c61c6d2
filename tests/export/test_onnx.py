"""ONNX files give the scores of the network they were made from."""

import numpy as np
import pytest
import torch

from tests.vlm.formula import Given
from tests.vlm.small import image_encoder, signal_encoder
from tutelage.errors import UserError
from tutelage.export import PARITY, export_onnx
from tutelage.export import onnx as export
from tutelage.models import DistilledClip, On, PromptedClip, WideResNet
from tutelage.models.edu_attention import Attention

onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")
pytest.importorskip("open_clip")

NAMES = ("cat", "dog", "airliner")


def student(encoder=image_encoder, channels=3, top=255.0, **more):
    torch.manual_seed(0)
    given = {"vision_depth": 1, "text_depth": 0, "frozen_templates": None, "template": "a {}."}
    learned = PromptedClip(NAMES, Given(encoder()), **given).eval()
    network = DistilledClip(NAMES, Given(encoder(3)), **{"vision_depth": 1} | more)
    network.adopt({"t": learned}, {})
    if network.attention is not None:
        network.attention.scale.data.fill_(0.7)
    return On("x", network, torch.zeros(channels), torch.full((channels,), top)).eval()


def answers(path, x):
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (found,) = session.run(["logits"], {"input": x})
    return session, torch.from_numpy(found)


@pytest.mark.parametrize("size", [(16, 16), (20, 24)])  # as the tower reads them, and resized
def test_a_student_alone_gives_the_same_scores(tmp_path, size):
    network, path = student(attention=Attention(), vision_depth=2), tmp_path / "student.onnx"
    assert export_onnx(network, [3, *size], path) < PARITY
    x = np.random.default_rng(0).integers(0, 256, (5, 3, *size)).astype(np.float32)
    session, found = answers(path, x)
    with torch.no_grad():
        wanted = network.on_tensor(torch.from_numpy(x)).logits
    assert (found - wanted).abs().max() < PARITY
    assert [one.name for one in session.get_inputs()] == ["input"]  # no text, no class embeddings
    # Nothing of a teacher, and no text tower: as large as what is deployed.
    kept = [p.numel() for p in network.parameters()]
    assert path.stat().st_size < 4 * 1.1 * sum(kept) + 60_000
    assert b".py" not in path.read_bytes()  # no paths of the machine that wrote it
    # Exporting counts for no encoding.
    before = network.network.encoder.encoded["inputs"]
    assert type(before) is int
    network.on_tensor(torch.from_numpy(x))
    assert network.network.encoder.encoded["inputs"] == before + 5


def test_signals_and_plain_networks_are_exported_too(tmp_path):
    assert export_onnx(student(signal_encoder, 2, 1.0), [2, 32], tmp_path / "signal.onnx") < PARITY
    torch.manual_seed(0)
    plain = On("x", WideResNet(3, 4, depth=10), [120.0] * 3, [60.0] * 3, crop=8)
    assert export_onnx(plain, [3, 10, 10], tmp_path / "plain.onnx") < PARITY
    assert not plain.training


def test_what_cannot_be_exported_is_refused(tmp_path, monkeypatch):
    class Other(torch.nn.Module):
        def forward(self, x):
            return WideResNet(3, 4, depth=10)(x) if float(x.sum()) > 1e9 else missing(x)

    def missing(x):
        raise RuntimeError("no such thing")

    with pytest.raises(UserError, match="Other cannot be exported"):
        export_onnx(On("x", Other(), [0.0], [1.0]), [1, 8], tmp_path / "other.onnx")
    monkeypatch.setattr(export, "PARITY", -1.0)
    with pytest.raises(UserError, match="scores differ by"):
        export_onnx(student(signal_encoder, 2, 1.0), [2, 32], tmp_path / "apart.onnx")
