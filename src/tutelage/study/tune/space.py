"""What is searched: numbers, choices, and parts of a whole, each at one or more places of the recipe."""

import itertools
import math
from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import Field, model_validator

from tutelage.errors import UserError, unknown
from tutelage.recipe.config import parse
from tutelage.recipe.keys import Strict

if TYPE_CHECKING:
    from optuna.trial import Trial

__all__ = ["Choice", "Dimension", "Number", "Simplex", "dimension"]

DIGITS = 4
"""Decimals of the parts of a whole: finer steps than any noise, and they are typed into recipes."""


class Dimension(Strict):
    """One thing that is searched.

    Args:
        also: other places of the recipe that always get the same value.
    """

    also: list[str] = Field(default=[])

    @abstractmethod
    def suggest(self, trial: "Trial", name: str) -> dict[str, Any]:
        """Return place -> value, for a trial."""

    @abstractmethod
    def grid(self, name: str) -> list[dict[str, float | int | str | bool]]:
        """Return the parameters of every point of a grid."""

    @abstractmethod
    def given(self, name: str, content: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return the parameters of the recipe's own value; None where it has none, or another one."""

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of the parts of a whole; empty for a single value."""
        return ()

    def _everywhere(self, name: str, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return place -> value; ``values`` has the part as its key, or an empty text."""
        return {
            f"{place}.{part}" if part else place: value
            for place in (name, *self.also)
            for part, value in values.items()
        }


class Number(Dimension):
    """A number in a range; whole if both ends are.

    Args:
        low: smallest.
        high: largest.
        log: even on a logarithmic scale.
        points: of a grid.
    """

    low: int | float
    high: int | float
    log: bool = False
    points: int = Field(5, ge=2)

    @model_validator(mode="after")
    def _order(self) -> "Number":
        if not self.low < self.high:
            raise UserError(f"found low: {self.low} and high: {self.high}; low must be smaller")
        if self.log and self.low <= 0:
            raise UserError(f"found low: {self.low} with log; it must be positive")
        return self

    @property
    def whole(self) -> bool:
        """Whether only whole numbers are meant."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    def suggest(self, trial: "Trial", name: str) -> dict[str, Any]:
        """Return place -> number."""
        value: float | int
        if self.whole:
            value = trial.suggest_int(name, int(self.low), int(self.high), log=self.log)
        else:
            drawn = trial.suggest_float(name, float(self.low), float(self.high), log=self.log)
            value = float(f"{drawn:.{DIGITS}g}")
        return self._everywhere(name, {"": value})

    def grid(self, name: str) -> list[dict[str, float | int | str | bool]]:
        """Return evenly spaced numbers."""
        ends = [math.log(x) if self.log else float(x) for x in (self.low, self.high)]
        step = (ends[1] - ends[0]) / (self.points - 1)
        raw = [ends[0] + step * i for i in range(self.points)]
        points = [math.exp(x) if self.log else x for x in raw]
        inside = [min(max(x, float(self.low)), float(self.high)) for x in points]
        if self.whole:
            return [{name: number} for number in dict.fromkeys(round(x) for x in inside)]
        return [{name: float(f"{x:.{DIGITS}g}")} for x in inside]

    def given(self, name: str, content: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return the recipe's number if it lies in the range."""
        value = at(content, name)
        fits = isinstance(value, int if self.whole else int | float) and not isinstance(value, bool)
        return {name: value} if fits and self.low <= value <= self.high else None


class Choice(Dimension):
    """One of some values.

    Args:
        values: numbers, texts, yes and no.
    """

    values: list[bool | int | float | str] = Field(min_length=2)

    def suggest(self, trial: "Trial", name: str) -> dict[str, Any]:
        """Return place -> one of the values."""
        return self._everywhere(name, {"": trial.suggest_categorical(name, self.values)})

    def grid(self, name: str) -> list[dict[str, float | int | str | bool]]:
        """Return every value."""
        return [{name: value} for value in self.values]

    def given(self, name: str, content: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return the recipe's value if it is one of them."""
        value = at(content, name)
        return {name: value} if value in self.values else None


class Simplex(Dimension):
    """Parts that are not negative and sum to one, such as the weights of teachers.

    Every point is as likely as any other (a Dirichlet distribution with ones): a stick is broken at random places.
    A part of the stick is a parameter ``name[i]`` in [0, 1].

    Args:
        simplex: keys of the parts, below the name of the dimension.
        low: the least a part may be.
        step: of a grid, which has all multiples of it.
    """

    simplex: list[str] = Field(min_length=2)
    low: float = Field(0.0, ge=0)
    step: float = Field(0.25, gt=0, le=0.5)

    @model_validator(mode="after")
    def _room(self) -> "Simplex":
        if self.low * len(self.simplex) >= 1:
            raise UserError(
                f"found low: {self.low} for {len(self.simplex)} parts; they would sum to 1 or more"
            )
        if abs(round(1 / self.step) * self.step - 1) > 1e-9:
            raise UserError(f"found step: {self.step}; allowed: 1 divided by a whole number")
        return self

    @property
    def parts(self) -> tuple[str, ...]:
        """Keys of the parts."""
        return tuple(self.simplex)

    def suggest(self, trial: "Trial", name: str) -> dict[str, Any]:
        """Return place -> part, for every part."""
        sticks = [trial.suggest_float(key, 0.0, 1.0) for key in self._keys(name)]
        shares, rest = [], 1.0
        for left, stick in zip(range(len(sticks), 0, -1), sticks, strict=True):
            shares.append(rest * (1 - (1 - stick) ** (1 / left)))
            rest -= shares[-1]
        scale = 1 - self.low * len(self.simplex)
        values = [round(self.low + scale * share, DIGITS) for share in shares]
        values.append(round(1 - math.fsum(values), DIGITS))
        return self._everywhere(name, dict(zip(self.simplex, values, strict=True)))

    def grid(self, name: str) -> list[dict[str, float | int | str | bool]]:
        """Return all points whose parts are multiples of the step (of what ``low`` leaves free)."""
        count, size = round(1 / self.step), len(self.simplex)
        bars = itertools.combinations(range(count + size - 1), size - 1)
        edges = [(-1, *places, count + size - 1) for places in bars]
        whole = [[b - a - 1 for a, b in itertools.pairwise(parts)] for parts in edges]
        return [self._sticks(name, [part / count for part in parts]) for parts in whole]

    def given(self, name: str, content: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return the recipe's parts if they are a whole."""
        values = [at(content, f"{name}.{part}") for part in self.simplex]
        numbers = [float(x) for x in values if isinstance(x, int | float)]
        if len(numbers) < len(values) or abs(math.fsum(numbers) - 1) > 1e-6:
            return None
        scale = 1 - self.low * len(self.simplex)
        shares = [(x - self.low) / scale for x in numbers]
        return self._sticks(name, shares) if min(shares) > -1e-9 else None

    def equal(self, name: str) -> dict[str, Any]:
        """Return the parameters of equal parts."""
        return self._sticks(name, [1 / len(self.simplex)] * len(self.simplex))

    def _keys(self, name: str) -> list[str]:
        return [f"{name}[{i}]" for i in range(len(self.simplex) - 1)]

    def _sticks(self, name: str, shares: list[float]) -> dict[str, Any]:
        """Return the parameters that give these shares, which sum to one."""
        sticks, rest = {}, 1.0
        for i, key in enumerate(self._keys(name)):
            left = len(shares) - 1 - i
            part = min(max(shares[i] / rest, 0.0), 1.0) if rest > 1e-9 else 0.0
            sticks[key] = 1 - (1 - part) ** left
            rest -= shares[i]
        return sticks


def dimension(name: str, described: Mapping[str, Any]) -> Dimension:
    """Return what an entry of ``tune.space`` describes.

    Raises:
        UserError: it is wrong; one sentence.
    """
    place = f"tune.space.{name}"
    if not isinstance(described, Mapping):
        raise UserError(
            f"{place}: found {described!r}; allowed: {{low: 0.1, high: 0.9}}, {{values: [1, 2]}} or "
            "{simplex: [a, b]}"
        )
    kinds: dict[str, type[Dimension]] = {"simplex": Simplex, "values": Choice}
    kind = next((kinds[key] for key in kinds if key in described), Number)
    try:
        return parse(kind, dict(described), place)
    except UserError as error:
        raise error if str(error).startswith(place) else UserError(f"{place}: {error}") from error


def at(content: Mapping[str, Any], place: str) -> Any:
    """Return what stands at a place of the recipe, None where nothing does."""
    item: Any = content
    for key in place.split("."):
        item = item.get(key) if isinstance(item, Mapping) else None
    return item


def refuse_unknown(content: Mapping[str, Any], place: str, where: str) -> None:
    """Refuse a place whose surroundings the recipe does not have.

    The last key may be new: an argument of a class that the recipe leaves at its default.

    Args:
        content: of the recipe.
        place: dotted.
        where: for the sentence.
    """
    *path, last = place.split(".")
    item: Any = content
    for i, key in enumerate(path):
        if not isinstance(item, Mapping) or key not in item:
            names = list(item) if isinstance(item, Mapping) else []
            raise unknown(f"{where}: {'.'.join(path[:i]) or 'recipe'}", "key", key, names)
        item = item[key]
    if not isinstance(item, Mapping):
        raise UserError(f"{where}: {'.'.join(path)} is {item!r} in the recipe, it has no {last!r}")
