"""Persistence diagrams of batches in five flat arrays."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Self

import numpy as np
import numpy.typing as npt

from tutelage.errors import UserError
from tutelage.modalities.base import SampleTransformer, checked, one_of, spans
from tutelage.modalities.topology.diagrams import write_diagrams
from tutelage.modalities.topology.kernel import Array, in_threads
from tutelage.modalities.topology.links import links


@dataclass(frozen=True, slots=True)
class Diagrams:
    """Points of many diagrams, sample after sample (compressed rows).

    Args:
        offsets: points of sample n are ``offsets[n]`` to ``offsets[n + 1]``, [N + 1].
        birth: value at which a class appears, [P], float64, in the units of the input.
        death: value at which it ends; infinite for the one that never does, [P].
        dimension: 0 component, 1 hole, [P].
        channel: input channel, [P].
    """

    offsets: Array
    birth: Array
    death: Array
    dimension: Array
    channel: Array

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.offsets) - 1

    def of(self, sample: int, channel: int = 0, dimension: int = 0) -> Array:
        """Return one diagram as (birth, death) rows, [points, 2].

        Args:
            sample: number of the sample.
            channel: input channel.
            dimension: 0 or 1.
        """
        part = slice(int(self.offsets[sample]), int(self.offsets[sample + 1]))
        chosen = (self.channel[part] == channel) & (self.dimension[part] == dimension)
        return np.stack([self.birth[part][chosen], self.death[part][chosen]], axis=1)

    @property
    def persistence(self) -> Array:
        """How long each class lives, [P], >= 0 for sublevel and superlevel sets alike."""
        lives: Array = np.abs(self.death - self.birth)
        return lives


class SublevelPersistence(SampleTransformer):
    """Birth and death of the components (and holes) of sublevel sets of signals and pictures.

    Infinite pixels are allowed here, NaN is not. Nothing is learned from data.

    Args:
        dimensions: (0,), (1,) or (0, 1); holes only in pictures.
        construction: ``T``: pixels are squares, 8 neighbours are connected; ``V``: points, 4.
        filtration: ``sublevel``; ``superlevel``: births are peaks and deaths lie below them.
        min_persistence: pairs are kept if their persistence is strictly greater.
        essential: ``keep`` the component that never dies (death = inf, or -inf for superlevel
            sets), or ``drop`` it.
        n_jobs: threads; None: 1; -1: all cores.

    Source:
        Edelsbrunner, Letscher, Zomorodian 2002; pairs of a line by a stack of maxima, pairs of a
        picture by union-find over saddle pixels with holes as components of the complement.
    """

    def __init__(
        self,
        *,
        dimensions: Sequence[int] = (0,),
        construction: Literal["T", "V"] = "T",
        filtration: Literal["sublevel", "superlevel"] = "sublevel",
        min_persistence: float = 0.0,
        essential: Literal["keep", "drop"] = "keep",
        n_jobs: int | None = None,
    ) -> None:
        self.dimensions = dimensions
        self.construction = construction
        self.filtration = filtration
        self.min_persistence = min_persistence
        self.essential = essential
        self.n_jobs = n_jobs

    def fit(self, X: npt.ArrayLike, y: object = None) -> Self:
        """Check the parameters against samples.

        Args:
            X: signals [N, C, L] or pictures [N, C, H, W].
            y: ignored.

        Returns:
            This object.

        Raises:
            UserError: a parameter or the shape is not allowed.
        """
        self._check(np.asarray(X))
        self.n_channels_in_ = int(np.shape(X)[1])
        return self

    def transform(self, X: npt.ArrayLike) -> Diagrams:
        """Return the diagrams of all samples.

        Args:
            X: signals [N, C, L] or pictures [N, C, H, W]; uint8 is read as value / 255.

        Raises:
            UserError: wrong shape, or NaN found.
        """
        samples = np.asarray(X)
        self._check(samples)
        parts: dict[int, tuple[Array, Array, Array]] = {}

        def work(start: int, stop: int) -> None:
            for a, b in spans(start, stop, samples):
                parts[a] = self._part(checked(samples[a:b], "SublevelPersistence", finite=False))

        in_threads(work, len(samples), self.n_jobs)
        ordered = [parts[a] for a in sorted(parts)]
        if not ordered:
            empty, none = np.empty(0), np.empty(0, np.uint8)
            return Diagrams(np.zeros(1, np.int64), empty, empty, none, none.astype(np.int32))
        counts = np.concatenate([np.diff(ends, prepend=0) for _, _, ends in ordered])
        points = np.concatenate([p for p, _, _ in ordered], axis=1)
        labels = np.concatenate([q for _, q, _ in ordered], axis=1)
        offsets = np.concatenate([[0], np.cumsum(counts)])
        return Diagrams(offsets, points[0], points[1], labels[0].astype(np.uint8), labels[1])

    def _part(self, samples: Array) -> tuple[Array, Array, Array]:
        """Return points [2, P], labels [2, P] and the end of every sample [N]."""
        items, channels = samples.shape[:2]
        pixels = int(np.prod(samples.shape[2:]))
        line = samples.ndim == 3
        capacity = items * channels * (pixels // 2 + 2 if line else 2 * (pixels + 1))
        # pages that are never written are never given memory
        points = np.empty((2, capacity))
        labels = np.empty((2, capacity), np.int32)
        ends = np.empty(items, np.int64)
        sign = 1.0 if self.filtration == "sublevel" else -1.0
        least, essential = float(self.min_persistence), self.essential == "keep"
        wanted = (0 in self.dimensions, 1 in self.dimensions)
        total = write_diagrams(
            samples, sign, least, essential, links(self.construction), wanted, points, labels, ends
        )
        return points[:, :total].copy(), labels[:, :total].copy(), ends

    def _check(self, samples: Array) -> None:
        place = type(self).__name__
        one_of(f"{place}.construction", self.construction, ("T", "V"))
        one_of(f"{place}.filtration", self.filtration, ("sublevel", "superlevel"))
        one_of(f"{place}.essential", self.essential, ("keep", "drop"))
        if samples.ndim not in (3, 4) or 0 in samples.shape[1:]:
            raise UserError(
                f"{place}: found an array of shape {samples.shape}, allowed: "
                "[samples, channels, time] or [samples, channels, height, width]"
            )
        allowed = ((0,),) if samples.ndim == 3 else ((0,), (1,), (0, 1))
        if tuple(self.dimensions) not in allowed:
            choices = " or ".join(map(str, allowed))
            raise UserError(
                f"{place}.dimensions: found {tuple(self.dimensions)}, allowed: {choices}"
            )
