"""Two corruptions, one after the other."""

from dataclasses import dataclass
from typing import Any, ClassVar

from numpy.random import Generator

from tutelage.corruptions.base import Corruption, InputFacts, Inputs
from tutelage.errors import UserError

__all__ = ["Both"]


@dataclass(frozen=True)
class Both(Corruption):
    """Two kinds of damage at the same severity, one after the other.

    Args:
        first: happens first.
        second: happens to its result; as many levels.
    """

    meaning: ClassVar[str] = "those of both"
    modality: ClassVar[str] = ""
    first: Corruption
    second: Corruption

    def refuse(self, facts: InputFacts) -> None:
        """Refuse what one of both refuses."""
        self.first.refuse(facts)
        self.second.refuse(facts)
        counts = [len(each.amounts(facts)) for each in (self.first, self.second)]
        if counts[0] != counts[1]:
            raise UserError(
                f"Both: first has {counts[0]} levels and second {counts[1]}; allowed: as many"
            )

    def amounts(self, facts: InputFacts) -> list[tuple[Any, Any]]:
        """Return the amounts of both."""
        pair = self.first.amounts(facts), self.second.amounts(facts)
        return list(zip(*pair, strict=False))

    def __call__(self, inputs: Inputs, severity: int, rng: Generator, facts: InputFacts) -> Inputs:
        """Return inputs damaged twice."""
        return self.second(self.first(inputs, severity, rng, facts), severity, rng, facts)

    def damage(self, inputs: Inputs, amount: Any, rng: Generator, facts: InputFacts) -> Inputs:
        """Return inputs damaged twice."""
        once = self.first.damage(inputs, amount[0], rng, facts)
        return self.second.damage(once, amount[1], rng, facts)

    def said(self, severity: int, facts: InputFacts) -> str:
        """Return the amounts of both."""
        return f"{self.first.said(severity, facts)} and {self.second.said(severity, facts)}"

    @property
    def description(self) -> dict[str, Any]:
        """What decides the numbers of both."""
        both = {"first": self.first.description, "second": self.second.description}
        return {"type": "Both", "version": self.version, **both}
