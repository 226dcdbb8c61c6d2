"""Where concepts are annotated: are they right, do they leak, and does it help to tell the network the truth?"""

from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from benchmarks.concepts import spaces
from benchmarks.concepts.robots import PHRASES
from benchmarks.concepts.texts import LEVELS, contrast
from tutelage.data import Digits
from tutelage.interpret import matching_layers

FEW = {"digits": (0, 1, 2), "robots": (2, 3, 7)}
"""Concepts that are kept alone: zero, one, two; knees, elbows, hands. What else is known of the class leaked."""
HALF = 600  # samples that concepts are learned on, and as many others for the head


def study(name: str, folder: Path) -> Callable[[int, int], dict[str, Any]]:
    """Return what one draw gives, for ``digits`` or ``robots``."""
    data = cache(_digits if name == "digits" else partial(_robots, folder))

    def one(_: int, draw: int) -> dict[str, Any]:
        x, true, labels = data()
        order = torch.randperm(len(x), generator=torch.Generator().manual_seed(draw))
        return Bottleneck(x, true, labels, order).measured(FEW[name], draw)

    return one


def _digits() -> tuple[Tensor, Tensor, Tensor]:
    data = Digits().load()
    assert data.concepts is not None
    pixels = torch.from_numpy(data.inputs[:, 0].reshape(len(data.inputs), -1)).float() / 255
    return pixels, torch.from_numpy(data.concepts["global"]).float(), torch.from_numpy(data.labels)


def _robots(folder: Path) -> tuple[Tensor, Tensor, Tensor]:
    space = spaces.robots(folder)
    assert space.true is not None
    ones = [space.texts.index(there) for _, there in PHRASES.values()]
    return space.samples, space.true[:, ones], space.labels


class Bottleneck:
    """Concepts learned from annotations, and a linear head on what they say of other samples.

    Args:
        x: samples, [n, D].
        true: which concept holds, [n, M] of zeros and ones.
        labels: [n].
        order: of the samples: the first teach concepts, the next the head, the others test.
    """

    def __init__(self, x: Tensor, true: Tensor, labels: Tensor, order: Tensor) -> None:
        first, self.second, self.test = order[:HALF], order[HALF : 2 * HALF], order[2 * HALF :]
        self.x, self.true, self.labels = x, true, labels
        mean, spread = x[first].mean(dim=0), x[first].std(dim=0).clamp_min(1e-2)
        z = ((x - mean) / spread).numpy()
        learned = [
            LogisticRegression(C=0.05, max_iter=500).fit(z[first], true[first, m].numpy())
            for m in range(true.shape[1])
        ]
        told = [torch.from_numpy(one.predict_proba(z)[:, 1]) for one in learned]
        self.told = torch.stack(told, dim=1).float()

    def measured(self, few: tuple[int, ...], draw: int) -> dict[str, Any]:
        """Return every measure of one draw."""
        true, told = self.true[self.test], self.told[self.test]
        rng = torch.Generator().manual_seed(draw)
        order = torch.randperm(true.shape[1], generator=rng)
        names = torch.empty_like(order).scatter_(0, order, order.roll(1))  # none keeps its name
        share = true.mean(dim=0)
        hard = (self.told > 0.5).float()
        kept = list(few)
        found: dict[str, Any] = {
            "concepts": ((told > 0.5) == (true > 0.5)).float().mean().item(),
            "chance": torch.maximum(share, 1 - share).mean().item(),
            "renamed": ((told > 0.5) == (true[:, names] > 0.5)).float().mean().item(),
            "each": ((told > 0.5) == (true > 0.5)).float().mean(dim=0).tolist(),
            "soft": self._right(self.told, told),
            "hard": self._right(hard, hard[self.test]),
            "true": self._right(self.true, true),
            "soft, renamed": self._right(self.told[:, names], told[:, names]),
            "few, soft": self._right(self.told[:, kept], told[:, kept]),
            "few, hard": self._right(hard[:, kept], hard[self.test][:, kept]),
            "few, true": self._right(self.true[:, kept], true[:, kept]),
        }
        found["curves"] = self._curves(true, told, order, names)
        return found | {f"matched/{k}": v for k, v in self._matched(draw).items()}

    def _head(self, values: Tensor) -> LogisticRegression:
        return LogisticRegression(max_iter=500).fit(
            values[self.second].numpy(), self.labels[self.second].numpy()
        )

    def _right(self, values: Tensor, test: Tensor) -> float:
        said = self._head(values).predict(test.numpy())
        return float((torch.from_numpy(said) == self.labels[self.test]).double().mean())

    def _curves(
        self, true: Tensor, told: Tensor, order: Tensor, names: Tensor
    ) -> dict[str, list[float]]:
        """Return the accuracy after a person has told the truth of 0 to M concepts of each test sample."""
        head, labels = self._head(self.told), self.labels[self.test]
        unsure = (told - 0.5).abs().argsort(dim=1)
        found: dict[str, list[float]] = {
            "in random order": [],
            "least sure first": [],
            "renamed": [],
        }
        for k in range(true.shape[1] + 1):
            random = told.clone()
            random[:, order[:k]] = true[:, order[:k]]
            wrong = told.clone()
            wrong[:, order[:k]] = true[:, names[order[:k]]]
            first = told.scatter(1, unsure[:, :k], true.gather(1, unsure[:, :k]))
            for name, values in zip(found, (random, first, wrong), strict=True):
                right = torch.from_numpy(head.predict(values.numpy())) == labels
                found[name].append(float(right.double().mean()))
        return found

    def _matched(self, draw: int) -> dict[str, dict[str, float]]:
        """Return the accuracy by number of effective concepts, of concepts and of as many random directions."""
        rng = torch.Generator().manual_seed(draw)
        drawn = self.x @ torch.randn(self.x.shape[1], self.true.shape[1], generator=rng)
        logits = torch.logit(self.told, eps=1e-4)
        found = {}
        for name, values in (("concepts", logits), ("directions", drawn)):
            a, b = contrast(values[self.second], values[self.test])
            layers = matching_layers(a, self.labels[self.second], level=LEVELS[-1])
            right = [one.accuracy(b, self.labels[self.test]) for one in layers]
            found[name] = {str(k): value for k, value in zip(LEVELS, right, strict=True)}
        return found
