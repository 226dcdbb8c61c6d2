"""Files of a network trained with simulated int8: every score is the simulated one, to one step."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from tests.export.small import facts
from tutelage.errors import UserError
from tutelage.export.facts import ModelFacts
from tutelage.export.formats import LEARNED, chosen_formats
from tutelage.export.lite import write_learned_lite
from tutelage.export.models import LiteModel, OnnxModel
from tutelage.export.onnx import label_onnx, write_learned_onnx
from tutelage.export.package import ReferenceWindows, write_package
from tutelage.models import Network, On, Quantised, SeparableNet, WideResNet

SPREAD = torch.tensor([1.3, 0.5, 2.0]).view(1, 3, 1)


def windows(count: int, seed: int) -> Tensor:
    return torch.randn(count, 3, 64, generator=torch.Generator().manual_seed(seed)) * SPREAD


def trained(plain: Network, batches: int = 12) -> On:
    """A few steps past the point where ranges and statistics are frozen, on channels of different size."""
    on = On("signal", Quantised(network=plain, settle=8), [0.1, 0.3, -0.2], [1.3, 0.5, 2.0])
    optimizer = torch.optim.SGD(on.parameters(), 0.05)
    for number in range(batches):
        x = windows(32, number)
        labels = (x[:, 0].mean(1) > 0).long() + 2 * (x[:, 1].std(1) > 0.5).long()
        loss = F.cross_entropy(on.on_tensor(x).logits, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return on.to(memory_format=torch.channels_last).eval()


def simulated(on: On, x: Tensor) -> np.ndarray:
    with torch.no_grad():
        return on.on_tensor(x).logits.numpy()


def step(on: On) -> float:
    network = on.network
    assert isinstance(network, Quantised)
    return network.ranges[network.plan.logits].coding().scale


NETWORKS = {
    "SeparableNet": lambda: SeparableNet(3, 4, width=8),
    "WideResNet": lambda: WideResNet(3, 4, depth=10, dimensions=1),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_the_tflite_file_says_what_was_simulated(tmp_path: Path, name: str) -> None:
    pytest.importorskip("litert_torch")
    torch.manual_seed(0)
    on = trained(NETWORKS[name]())
    written = write_learned_lite(on, facts(), tmp_path / "model.int8.tflite")
    x = windows(100, 99)
    wanted, found = simulated(on, x), LiteModel(tmp_path / "model.int8.tflite").logits(x.numpy())
    apart = np.abs(found - wanted) / step(on)
    assert apart.max() < 1.01 and (apart < 0.5).mean() > 0.9
    assert len(np.unique(np.round(wanted / step(on)))) > 20
    coding, sensed = written.quantisation, on.network.ranges["sensed"].coding()
    assert coding is not None and coding.output_scale == pytest.approx(step(on), 1e-6)
    assert (coding.input_zero_point, sensed.zero_point) == (sensed.zero_point,) * 2


@pytest.mark.parametrize("name", NETWORKS)
def test_the_onnx_file_says_what_was_simulated(tmp_path: Path, name: str) -> None:
    pytest.importorskip("onnxruntime")
    torch.manual_seed(0)
    on = trained(NETWORKS[name]())
    path = tmp_path / "model.int8.onnx"
    write_learned_onnx(on, (3, 64), path)
    label_onnx(path, facts().metadata())
    x = windows(100, 99)
    apart = np.abs(OnnxModel(path).logits(x.numpy()) - simulated(on, x)) / step(on)
    assert apart.max() < 1.01 and (apart < 0.5).mean() > 0.9


def test_it_has_no_float_file() -> None:
    assert chosen_formats([], LEARNED) == ("onnx-int8", "tflite-int8", "c")
    assert chosen_formats(["c"], LEARNED) == ("tflite-int8", "c")
    with pytest.raises(UserError, match=r"tflite is a float file, but the network was trained as"):
        chosen_formats(["tflite"], LEARNED)


def test_a_network_that_saw_no_batch_is_not_shipped(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    on = On("signal", Quantised(network=SeparableNet(3, 4, width=4)), [0.0] * 3, [1.0] * 3).eval()
    with pytest.raises(UserError, match="no range of its activations is known"):
        write_learned_onnx(on, (3, 64), tmp_path / "model.onnx")


@pytest.mark.slow
def test_a_package_holds_int8_files_alone(tmp_path: Path) -> None:
    pytest.importorskip("litert_torch")
    torch.manual_seed(0)
    on = trained(SeparableNet(3, 4, width=4))
    x = windows(30, 5)
    logits = simulated(on, x)
    evidence = ReferenceWindows(x.numpy(), logits.argmax(1), None, logits, x.numpy()[:3])
    plain: ModelFacts = replace(facts(), shape=(3, 64))
    shipped = write_package(on, plain, evidence, tmp_path / "out", lambda _: "card\n")
    assert set(shipped.parity) == {"model.int8.onnx", "model.int8.tflite"}
    assert all(parity.equal == 1 for parity in shipped.parity.values())
    assert (tmp_path / "out" / "model.h").is_file()
