"""Persistence images of signals and of pictures."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Literal, Self

import numpy as np

from tutelage.errors import UserError
from tutelage.modalities.base import Modality, checked
from tutelage.modalities.settings import (
    SIGNS,
    check_parameters,
    check_sample,
    lines,
    pair,
    rule_of,
    span,
    summary,
)
from tutelage.modalities.topology import extent
from tutelage.modalities.topology.images import draw_images
from tutelage.modalities.topology.kernel import Array
from tutelage.modalities.topology.links import links
from tutelage.modalities.topology.profile import CellRow, axis, persim_axis
from tutelage.modalities.topology.raster import Rule, image_axes

Filtration = Literal["sublevel", "superlevel", "both"]
Reading = Literal["plane", "rows", "columns", "rows+columns"]


class PersistenceImage(Modality):
    """Where the valleys (or peaks) of a signal or picture lie, and how deep they are, as an image.

    Sublevel sets {x <= t} of a signal are watched while t rises: at each local minimum a component
    is born, at a maximum two components meet and the one born later dies. Each pair (birth,
    death) becomes a normal curve of mass ``weight`` at (birth, persistence = death - birth), and
    a pixel holds the integral over its cell. Row 0 is the highest persistence; columns are births,
    ascending. Superlevel sets {x >= t} give peaks: birth is the height of the peak. The component
    that never dies is left out. All lengths below are in the units of the input.

    Output channels are ordered by reading, then filtration, then dimension, then input channel.

    Args:
        filtration: ``sublevel`` (valleys), ``superlevel`` (peaks) or ``both``.
        dimensions: (0,) components; (0, 1) or (1,) also holes, for pictures read as a plane.
        construction: for a plane; ``T``: pixels are squares, 8 neighbours are connected; ``V``:
            pixels are points, 4 neighbours are connected.
        reading: how a picture is read: as a ``plane``, or as one line of all its ``rows`` or
            ``columns`` (the published recipe for pictures), or ``rows+columns``.
        resolution: (rows, columns) in pixels, or one number for both.
        sigma: standard deviation of the curve; a pair means (along birth, along persistence);
            None: one pixel along each axis.
        birth_range: births shown; None: lowest and highest birth of the training data.
        persistence_range: persistence shown; None: 0 to the longest of the training data.
        min_persistence: points are kept if their persistence is strictly greater.
        weight: ``persistence``; ``linear``: divided by the longest of the diagram; ``constant``
            (not stable: noise points count in full).
        normalize: ``max`` or ``sum`` of each image becomes 1; ``none``.
        dtype: ``float32``, or ``uint8`` = trunc(255 x), which needs ``normalize='max'``.
        cells: ``full``: cells share edges and cover the ranges; ``persim``: the grid of
            ``persim.PersImage`` with its gaps, where tails are also not cut (see ``published``).
        n_jobs: threads; None: 1; -1: all cores.

    Attributes:
        birth_range_: births shown, (low, high).
        persistence_range_: persistence shown, (low, high).
        sigma_: standard deviation (along birth, along persistence).
        n_channels_in_: channels of the input.
        kind_: ``signal`` or ``picture``.

    Source:
        Adams et al. 2017, "Persistence images", JMLR 18(8). Zero-dimensional pairs of a line as in
        the public notebooks of TDA_KD and TGD, without the Rips complex that gives the same pairs.
    """

    version: ClassVar[int] = 1
    learned: ClassVar[tuple[str, ...]] = (
        "birth_range_",
        "persistence_range_",
        "sigma_",
        "n_channels_in_",
        "kind_",
    )

    def __init__(
        self,
        *,
        filtration: Filtration = "sublevel",
        dimensions: Sequence[int] = (0,),
        construction: Literal["T", "V"] = "T",
        reading: Reading = "plane",
        resolution: int | Sequence[int] = (64, 64),
        sigma: float | Sequence[float] | None = None,
        birth_range: Sequence[float] | None = None,
        persistence_range: Sequence[float] | None = None,
        min_persistence: float = 0.0,
        weight: Literal["persistence", "linear", "constant"] = "persistence",
        normalize: Literal["max", "sum", "none"] = "max",
        dtype: Literal["float32", "uint8"] = "float32",
        cells: Literal["full", "persim"] = "full",
        n_jobs: int | None = None,
    ) -> None:
        self.filtration = filtration
        self.dimensions = dimensions
        self.construction = construction
        self.reading = reading
        self.resolution = resolution
        self.sigma = sigma
        self.birth_range = birth_range
        self.persistence_range = persistence_range
        self.min_persistence = min_persistence
        self.weight = weight
        self.normalize = normalize
        self.dtype = dtype
        self.cells = cells
        self.n_jobs = n_jobs

    def fit_chunks(self, pieces: Iterable[Array]) -> Self:
        """Learn the ranges from training samples that arrive piece by piece.

        Args:
            pieces: signals [n, C, L] or pictures [n, C, H, W].

        Returns:
            This object.

        Raises:
            UserError: a parameter or the samples are not allowed.
        """
        check_parameters(self.get_params())
        totals = extent.no_totals()
        limits = np.array([-np.inf, np.inf, 0.0, np.inf])
        if self.birth_range is not None:
            limits[:2] = self.birth_range
        if self.persistence_range is not None:
            limits[2:] = self.persistence_range
        sample: tuple[int, ...] = ()
        for piece in pieces:
            check_sample(piece.shape[1:], self.reading, self.dimensions)
            sample = piece.shape[1:]
            if len(piece):
                self._see(checked(piece, "PersistenceImage"), limits, totals)
        if totals[extent.DIAGRAMS] == 0:
            raise UserError("PersistenceImage.fit: found no samples, allowed: at least one")
        self.n_channels_in_ = int(sample[0])
        self.kind_ = "signal" if len(sample) == 2 else "picture"
        self._learn(totals)
        self._diagnostics = summary(totals)
        return self

    def restore(self, state: Mapping[str, Any]) -> Self:
        """Become fitted again from what :meth:`fitted` returned."""
        super().restore(state)
        self._tabulate()
        return self

    @property
    def diagnostics(self) -> dict[str, float]:
        """Shares of the training diagrams: points and persistence outside the ranges, empty ones."""
        return dict(getattr(self, "_diagnostics", {}))

    def channel_names(self) -> list[str]:
        """Return one name per output channel, such as ``ch3_H0_sublevel``."""
        names = {1.0: "sublevel", -1.0: "superlevel"}
        return [
            f"ch{c}_H{dimension}_{names[sign]}" + (f"_{reading}" if self.kind_ != "signal" else "")
            for reading in self._readings(self.kind_ == "signal")
            for sign in SIGNS[self.filtration]
            for dimension in self.dimensions
            for c in range(self.n_channels_in_)
        ]

    def rule(self) -> Rule:
        """Return what happens between points and pixels."""
        return rule_of(self.get_params())

    def cell_rows(self) -> tuple[CellRow, CellRow]:
        """Return the cells along birth and along persistence, for the fitted ranges."""
        rows, columns = pair(self.resolution)
        (left, right), (low, high) = self.birth_range_, self.persistence_range_
        across, up = self.sigma_
        if self.cells == "full":
            return axis(left, right, columns, across), axis(low, high, rows, up)
        return (
            persim_axis(min(left, 0.0), right, right, columns, across),
            persim_axis(0.0, high, right, rows, up),
        )

    # -- what the base class asks for

    def _shape(self, sample: tuple[int, ...]) -> tuple[int, ...]:
        check_sample(sample, self.reading, self.dimensions)
        kind = "signal" if len(sample) == 2 else "picture"
        if kind != self.kind_ or sample[0] != self.n_channels_in_:
            raise UserError(
                f"PersistenceImage.transform: found a {kind} of {sample[0]} channels, "
                f"allowed: a {self.kind_} of {self.n_channels_in_} as in training"
            )
        blocks = (
            len(self._readings(kind == "signal"))
            * len(SIGNS[self.filtration])
            * len(self.dimensions)
        )
        return (blocks * self.n_channels_in_, *pair(self.resolution))

    def _write(self, samples: Array, out: Array) -> None:
        tables, channels = links(self.construction), samples.shape[1]
        block = 0
        for view, sign in self._views(samples):
            # holes come behind components where both are wanted
            first = [
                block + channels * self.dimensions.index(d) if d in self.dimensions else -1
                for d in (0, 1)
            ]
            draw_images(view, sign, self._rule, self._axes, tables, out, (first[0], first[1]))
            block += channels * len(self.dimensions)

    # -- fitting

    def _see(self, samples: Array, limits: Array, totals: Array) -> None:
        wanted = (0 in self.dimensions, 1 in self.dimensions)
        least, tables = float(self.min_persistence), links(self.construction)
        for view, sign in self._views(samples):
            extent.add_samples(view, sign, least, tables, wanted, limits, totals)

    def _views(self, samples: Array) -> Iterator[tuple[Array, float]]:
        """Yield the samples as every reading shows them, with the sign of every filtration."""
        for reading in self._readings(samples.ndim == 3):
            view = samples if reading == "plane" else lines(samples, reading)
            for sign in SIGNS[self.filtration]:
                yield view, sign

    def _learn(self, totals: Array) -> None:
        births, lives = self.birth_range, self.persistence_range
        self.birth_range_ = span(totals[extent.LOW], totals[extent.HIGH], births)
        self.persistence_range_ = span(0.0, totals[extent.LONGEST], lives)
        self.sigma_ = (1.0, 1.0)  # any value: the grid gives the size of a pixel
        columns, rows = self.cell_rows()
        if self.sigma is None:
            self.sigma_ = (columns.step, rows.step)
        else:
            both = self.sigma if isinstance(self.sigma, Sequence) else (self.sigma, self.sigma)
            self.sigma_ = (float(both[0]), float(both[1]))
        self._tabulate()

    def _tabulate(self) -> None:
        self._rule, self._axes = self.rule(), image_axes(*self.cell_rows())

    def _readings(self, signal: bool) -> tuple[str, ...]:
        return ("line",) if signal else tuple(self.reading.split("+"))
