"""A network of seconds, and windows it can be held against."""

import numpy as np
import torch

from tutelage.export.facts import ModelFacts
from tutelage.export.onnx import Scores
from tutelage.export.package import ReferenceWindows
from tutelage.models import On, WideResNet


def network(seed: int = 0) -> On:
    torch.manual_seed(seed)
    on = On("signal", WideResNet(3, 4, depth=10, width=1, dimensions=1), [0.1] * 3, [1.3] * 3)
    # As a checkpoint gives it back: a converter that trusts memory order would write other weights.
    return on.to(memory_format=torch.channels_last).eval()


def facts() -> ModelFacts:
    return ModelFacts(
        "student", ("sit", "walk", "run", "a \"quoted\" one"), "signal", ("x", "y", "z"), (3, 64),
        50.0, 32, None, (0.1,) * 3, (1.3,) * 3, 1000, 2000, "f" * 64, "d" * 64, {"version": "0"}, units=("g",) * 3,
    )  # fmt: skip


def evidence(on: On, n: int = 60) -> ReferenceWindows:
    windows = np.random.default_rng(0).normal(size=(n, 3, 64)).astype(np.float32)
    with torch.no_grad():
        logits = Scores(on)(torch.from_numpy(windows)).numpy()
    subjects = [str(number % 6) for number in range(n)]
    return ReferenceWindows(windows, logits.argmax(1), subjects, logits, windows[:20])
