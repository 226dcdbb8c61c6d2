"""How well samples of classes that were not taught are told from those that were."""

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from tutelage.runs.schema import Fraction

__all__ = ["OpenSet"]


@dataclass(frozen=True)
class OpenSet:
    """``open_set`` of an evaluation.

    Args:
        known: names of the classes that were taught.
        n_known: their samples.
        n_unknown: samples of the others.
        accuracy: of the known samples, among known classes.
        auroc_probability: probability that a known sample has a greater largest probability than an unknown one.
        auroc_logit: the same of the largest logit.
    """

    known: tuple[str, ...]
    n_known: Annotated[int, Field(ge=1)]
    n_unknown: Annotated[int, Field(ge=1)]
    accuracy: Fraction
    auroc_probability: Fraction
    auroc_logit: Fraction
