"""Predictions from a stream of samples: a window of the last ones, a prediction every hop."""

from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tutelage.errors import UserError
from tutelage.export.models import Model, Prediction, predictions

__all__ = ["Moment", "Stream"]


@dataclass(frozen=True)
class Moment:
    """What a stream says after one more window.

    Args:
        start: number of the window's first sample since the stream began.
        end: number of the sample after its last one.
        prediction: of the window alone.
        name: of the class after smoothing.
    """

    start: int
    end: int
    prediction: Prediction
    name: str


class Stream:
    """Keeps the latest window of a signal and predicts once every hop; memory does not grow.

    Equal to cutting the recording into windows and predicting them at once.

    Args:
        model: of ``tutelage.load``; it reads signals.
        hop: samples from one window to the next; None takes what the model was tested with, else half a window.
        smoothing: ``majority`` over the latest ``memory`` predictions; ``hysteresis`` changes the class only after
            ``memory`` equal predictions in a row; ``none``.
        memory: predictions that smoothing looks at, >= 1.

    Raises:
        UserError: the model reads images, or a number is out of range.
    """

    def __init__(
        self,
        model: Model,
        *,
        hop: int | None = None,
        smoothing: Literal["none", "majority", "hysteresis"] = "none",
        memory: int = 5,
    ) -> None:
        facts = model.facts
        if len(facts.shape) != 2:
            raise UserError(f"{model.place}: reads {facts.modality}s; a stream is of signals")
        self.hop = hop if hop is not None else facts.hop or max(1, facts.window // 2)
        if self.hop < 1 or memory < 1:
            raise UserError(f"hop and memory: found {self.hop} and {memory}; allowed: 1 or more")
        if smoothing not in ("none", "majority", "hysteresis"):
            raise UserError(f"smoothing: found {smoothing!r}; allowed: none, majority, hysteresis")
        self.model, self.smoothing = model, smoothing
        self._window = np.zeros(facts.shape, np.float32)
        self._seen = 0
        self._due = facts.window
        self._latest: deque[str] = deque(maxlen=memory)
        self._name = ""

    def push(self, samples: NDArray[Any]) -> Iterator[Moment]:
        """Take samples and yield what becomes due; they are taken as the caller iterates.

        Args:
            samples: [channels, n] at the model's rate and in its units, n >= 0; one sample may be [channels].

        Raises:
            UserError: another number of channels, or a value that is no finite number.
        """
        values = np.asarray(samples, np.float32)
        values = values[:, None] if values.ndim == 1 else values
        channels, length = self._window.shape
        if values.ndim != 2 or values.shape[0] != channels:
            raise UserError(
                f"stream: found samples of shape {list(values.shape)}; allowed: [{channels}, n] "
                f"({self.model.facts.inputs})"
            )
        if not np.isfinite(values).all():
            raise UserError(f"stream: a value after sample {self._seen} is NaN or infinite")
        return self._moments(values, length)

    def _moments(self, values: NDArray[np.float32], length: int) -> Iterator[Moment]:
        at = 0
        while at < values.shape[1]:
            part = values[:, at : at + self._due - self._seen][:, -length:]
            taken = min(values.shape[1] - at, self._due - self._seen)
            kept = part.shape[1]
            self._window[:, : length - kept] = self._window[:, kept:].copy()
            self._window[:, length - kept :] = part
            self._seen, at = self._seen + taken, at + taken
            if self._seen == self._due:
                self._due += self.hop
                yield self._moment(length)

    def _moment(self, length: int) -> Moment:
        [prediction] = predictions(
            self.model.logits(self._window[None]), self.model.facts.class_names
        )
        return Moment(self._seen - length, self._seen, prediction, self._smoothed(prediction.name))

    def _smoothed(self, name: str) -> str:
        self._latest.append(name)
        if self.smoothing == "none":
            return name
        if self.smoothing == "majority":
            counts = Counter(self._latest)
            most = max(counts.values())
            # Of several, the one that was said last.
            return next(said for said in reversed(self._latest) if counts[said] == most)
        full = len(self._latest) == self._latest.maxlen and len(set(self._latest)) == 1
        if full or not self._name:
            self._name = name
        return self._name
