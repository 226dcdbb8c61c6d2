"""What every corruption is: damage to raw test inputs in steps of one severity, by given random numbers."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from tutelage.errors import UserError

__all__ = ["Corruption", "InputFacts", "increasing"]

Inputs = NDArray[Any]


@dataclass(frozen=True, eq=False)
class InputFacts:
    """What is known of the inputs that are damaged.

    Args:
        modality: ``signal`` or ``image``.
        shape: of one input, [channels, time] or [channels, height, width].
        channels: their names.
        mean: of each channel over the training inputs, [channels]; zeros where it does not matter.
        std: their standard deviation, [channels].
    """

    modality: str
    shape: tuple[int, ...]
    channels: tuple[str, ...]
    mean: NDArray[np.float64]
    std: NDArray[np.float64]

    @classmethod
    def plain(cls, modality: str, shape: Sequence[int], channels: Sequence[str]) -> "InputFacts":
        """Return the facts of inputs with mean 0 and standard deviation 1."""
        count = shape[0]
        return cls(modality, tuple(shape), tuple(channels), np.zeros(count), np.ones(count))


class Corruption(ABC):
    """Damage to raw inputs; severity 0 does nothing, 1 is mild, the last one severe.

    Subclasses are frozen dataclasses. All random numbers are drawn in the same way at every severity, so that one
    draw seen at growing severity is one mishap that grows.

    Attributes:
        modality: of the inputs it is for.
        version: raise it when a change alters the numbers.
        meaning: what the amount of a severity is, with its unit.
    """

    modality: ClassVar[str]
    version: ClassVar[int] = 1
    meaning: ClassVar[str]

    @abstractmethod
    def amounts(self, facts: InputFacts) -> Sequence[Any]:
        """Return the amount of each severity, the first one of severity 1."""

    @abstractmethod
    def damage(self, inputs: Inputs, amount: Any, rng: Generator, facts: InputFacts) -> Inputs:
        """Return damaged inputs.

        Args:
            inputs: a copy of them, [N, ...], which may be written to.
            amount: how much.
            rng: draws the damage.
            facts: of the data.
        """

    def __call__(self, inputs: Inputs, severity: int, rng: Generator, facts: InputFacts) -> Inputs:
        """Return damaged inputs of the same shape and type; the given ones are not written to.

        Args:
            inputs: signals [N, channels, time] of floats, or images [N, 3, height, width] uint8.
            severity: 0 to the number of amounts.
            rng: draws the damage.
            facts: of the data.

        Raises:
            UserError: there is no such severity, or these are no inputs of this kind.
        """
        amounts = self.amounts(facts)
        if severity not in range(len(amounts) + 1):
            raise UserError(
                f"{type(self).__name__}: found severity {severity}, allowed are 0 to {len(amounts)}"
            )
        kind = "f" if self.modality == "signal" else "u"
        if inputs.ndim != len(facts.shape) + 1 or inputs.dtype.kind != kind:
            raise UserError(
                f"{type(self).__name__}: found {list(inputs.shape)} {inputs.dtype}, allowed are "
                f"{self.modality}s [N, {', '.join(map(str, facts.shape))}]"
            )
        copy = np.array(inputs)
        if not severity:
            return copy
        return self.damage(copy, amounts[severity - 1], rng, facts)

    def refuse(self, facts: InputFacts) -> None:
        """Refuse inputs that it cannot damage.

        Raises:
            UserError: they are of another kind, or lack what it needs.
        """
        if facts.modality != self.modality:
            raise UserError(
                f"{type(self).__name__} damages {self.modality}s, and the data set holds {facts.modality}s"
            )

    def said(self, severity: int, facts: InputFacts) -> str:
        """Return the amount of a severity as a person reads it."""
        amount = self.amounts(facts)[severity - 1]
        parts = amount if isinstance(amount, tuple) else (amount,)
        return ", ".join(f"{part:g}" for part in parts)

    @property
    def description(self) -> dict[str, Any]:
        """What decides its numbers, ready for JSON."""
        cls = type(self)
        own = cls.__module__.startswith("tutelage.")
        name = cls.__name__ if own else f"{cls.__module__}.{cls.__qualname__}"
        return {"type": name, "version": self.version, **_plain(asdict(self))}  # type: ignore[call-overload]


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, tuple | list) else value


def increasing(place: str, levels: Sequence[float], low: float, high: float) -> None:
    """Refuse levels that do not grow, or leave what is allowed.

    Args:
        place: for the error.
        levels: the amounts of severity 1, 2, ...
        low: the first one is above it.
        high: the last one is not above it.

    Raises:
        UserError: the sentence.
    """
    rising = all(a < b for a, b in pairwise(levels))
    if not levels or not rising or not low < levels[0] or not levels[-1] <= high:
        end = "" if high == np.inf else f" and at most {high:g}"
        raise UserError(
            f"{place}.levels: found {list(levels)}; allowed: numbers that grow, above {low:g}{end}"
        )
