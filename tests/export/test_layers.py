"""A network that a file cannot hold is refused with the name of its layer."""

import pytest
import torch
from torch import Tensor, nn

from tests.export.small import facts
from tutelage.errors import UserError
from tutelage.export.layers import layer_that_fails
from tutelage.export.lite import write_lite
from tutelage.export.onnx import export_onnx
from tutelage.models import On


class Spectrum(nn.Module):
    """The sizes of the eigenvalues of a matrix: no file format has that."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.linalg.eigvals(x @ x.transpose(1, 2)).abs()


class Odd(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.front = nn.Sequential(nn.Conv1d(3, 3, 3), nn.ReLU())
        self.back = nn.ModuleDict({"spectrum": Spectrum(), "head": nn.Linear(3, 4)})

    def forward(self, x: Tensor) -> Tensor:
        return self.back["head"](self.back["spectrum"](self.front(x)))


def network() -> On:
    torch.manual_seed(0)
    return On("signal", Odd(), [0.0] * 3, [1.0] * 3).eval()


def test_the_first_layer_that_fails_alone_is_named() -> None:
    tried = []

    def attempt(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        tried.append(type(module).__name__)
        assert module(*inputs) is not None
        if isinstance(module, Spectrum):
            raise RuntimeError("no such operator")

    assert (
        layer_that_fails(network(), torch.zeros(1, 3, 64), attempt) == "'back.spectrum' (Spectrum)"
    )
    assert tried == ["Conv1d", "ReLU", "Sequential", "Spectrum"]


def test_a_network_that_fails_between_its_layers_is_named_itself() -> None:
    def attempt(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        if isinstance(module, Odd):
            raise RuntimeError

    assert layer_that_fails(network(), torch.zeros(1, 3, 64), attempt) == "Odd"
    assert layer_that_fails(network(), torch.zeros(1, 3, 64), lambda *_: None) == ""


def test_onnx_and_tensorflow_lite_name_it(tmp_path) -> None:
    pytest.importorskip("onnxscript")
    with pytest.raises(
        UserError, match=r"a\.onnx: Odd cannot be exported, for its layer 'back\.spectrum' \(Sp"
    ):
        export_onnx(network(), [3, 64], tmp_path / "a.onnx")
    pytest.importorskip("litert_torch")
    with pytest.raises(
        UserError, match=r"TensorFlow Lite cannot take Odd, for its layer 'back\.spectrum' \(Spec"
    ):
        write_lite(network(), facts(), tmp_path / "a.tflite")
