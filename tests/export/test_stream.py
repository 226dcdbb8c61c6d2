import tracemalloc

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.export.small import facts, network
from tutelage.errors import UserError
from tutelage.export.models import Floats, Model
from tutelage.export.onnx import Scores
from tutelage.export.stream import Stream


class Torch(Model):
    def __init__(self) -> None:
        super().__init__(facts(), "torch")
        self.scores = Scores(network())

    @torch.no_grad()
    def _logits(self, windows: Floats) -> Floats:
        return self.scores(torch.from_numpy(windows)).numpy()


class Loudest(Model):
    """Says the number of the channel with the largest last sample."""

    def __init__(self) -> None:
        super().__init__(facts(), "loudest")

    def _logits(self, windows: Floats) -> Floats:
        return np.pad(windows[:, :, -1], ((0, 0), (0, 1)), constant_values=-9).astype(np.float32)


@given(
    parts=st.lists(st.integers(0, 150), max_size=12),
    hop=st.integers(1, 200),
    seed=st.integers(0, 9),
)
def test_a_stream_says_what_offline_windows_say(parts: list[int], hop: int, seed: int) -> None:
    signal = np.random.default_rng(seed).normal(size=(3, sum(parts))).astype(np.float32)
    stream, at, moments = Stream(Loudest(), hop=hop), 0, []
    for part in parts:
        moments += stream.push(signal[:, at : at + part])
        at += part
    starts = range(0, signal.shape[1] - 63, hop)
    assert [(m.start, m.end) for m in moments] == [(start, start + 64) for start in starts]
    wanted = [
        int(signal[:, start + 63].argmax()) if signal[:, start + 63].max() > -9 else 3
        for start in starts
    ]
    assert [m.prediction.number for m in moments] == wanted


def test_scores_of_a_network_are_those_of_its_windows() -> None:
    signal = np.random.default_rng(0).normal(size=(3, 400)).astype(np.float32)
    model = Torch()
    said = [moment.prediction for moment in Stream(model).push(signal)]
    offline = model.predict(np.stack([signal[:, at : at + 64] for at in range(0, 400 - 63, 32)]))
    assert [p.name for p in said] == [p.name for p in offline]
    assert [p.probability for p in said] == pytest.approx(
        [p.probability for p in offline], abs=1e-6
    )


def test_memory_does_not_grow() -> None:
    stream = Stream(Loudest(), hop=64)
    block = np.ones((3, 640), np.float32)
    sizes = []
    tracemalloc.start()
    for _ in range(60):
        list(stream.push(block))
        sizes.append(tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()
    assert (
        sizes[-1] - sizes[20] < 39 * block.nbytes / 6
    )  # what other threads of the tools take is less


def said(smoothing: str, names: str, memory: int) -> str:
    stream = Stream(Loudest(), hop=64, smoothing=smoothing, memory=memory)
    texts = []
    for name in names:
        block = np.zeros((3, 64), np.float32)
        block["swr".index(name), -1] = 1
        texts += [moment.name[0] for moment in stream.push(block)]
    return "".join(texts)


def test_smoothing() -> None:
    assert said("none", "swsrw", 3) == "swsrw"
    assert said("majority", "ssswssrr", 3) == "sssssssr"
    assert said("majority", "sw", 5) == "sw"  # of two, the later one
    assert said("hysteresis", "sswwsww", 2) == "ssswwww"


def test_bad_samples_are_refused_with_what_is_allowed() -> None:
    stream = Stream(Loudest())
    with pytest.raises(
        UserError, match=r"found samples of shape \[2, 5\]; allowed: \[3, n\] \(x \(g\)"
    ):
        stream.push(np.zeros((2, 5)))
    with pytest.raises(UserError, match="after sample 0 is NaN"):
        stream.push(np.full((3, 5), np.nan))
    with pytest.raises(UserError, match="allowed: none, majority, hysteresis"):
        Stream(Loudest(), smoothing="median")  # type: ignore[arg-type]
    with pytest.raises(UserError, match="allowed: 1 or more"):
        Stream(Loudest(), hop=0)
