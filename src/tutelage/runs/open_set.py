"""How well samples of classes that were not taught are told from those that were."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from pydantic import Field

from tutelage.errors import UserError
from tutelage.runs.predictions import Predictions
from tutelage.runs.schema import Fraction

__all__ = ["OpenSet", "check_open_set"]


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


def check_open_set(
    told: OpenSet | None, predictions: Predictions | None, names: Sequence[str], where: str
) -> None:
    """Refuse an open set whose counts or accuracy the predictions contradict.

    Args:
        told: of a split.
        predictions: of the split, if they were kept.
        names: of the classes.
        where: for the sentence.

    Raises:
        UserError: that is so.
    """
    if told is None:
        return
    strange = sorted(set(told.known) - set(names))
    if strange:
        raise UserError(f"{where}: open_set names {strange[0]!r}, which is no class")
    if predictions is None:
        return
    numbers = np.array([names.index(name) for name in told.known])
    mine = np.isin(predictions.labels, numbers)
    counts = int(mine.sum()), int((~mine).sum())
    if counts != (told.n_known, told.n_unknown):
        raise UserError(
            f"{where}: open_set counts {told.n_known} known and {told.n_unknown} unknown samples, predictions "
            f"{counts[0]} and {counts[1]}"
        )
    said = numbers[predictions.logits[mine][:, numbers].argmax(axis=1)]
    accuracy = float(np.mean(said == predictions.labels[mine]))
    if abs(told.accuracy - accuracy) > 1.5 / told.n_known:
        raise UserError(
            f"{where}: open_set.accuracy is {told.accuracy:.4f}, but predictions give {accuracy:.4f}"
        )
