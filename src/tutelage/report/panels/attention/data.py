"""Networks that were looked at, all on the same samples."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tutelage.runs.attention import AttentionMaps
from tutelage.runs.ledger import Experiment

__all__ = ["Looked", "looked_at"]


@dataclass(frozen=True)
class Looked:
    """One network.

    Args:
        stage: of the network.
        fold, seed: of its run.
        found: what its folder holds.
    """

    stage: str
    fold: str
    seed: int
    found: AttentionMaps

    @property
    def gap(self) -> float:
        """Mean angle elsewhere minus that where the network looks, in degrees: how sharply it tells them apart."""
        middles = np.arange(90) + 0.5
        inside, outside = self.found.inside, self.found.outside
        mean_in = (middles * inside).sum() / max(1, inside.sum())
        mean_out = (middles * outside).sum() / max(1, outside.sum())
        return float(mean_out - mean_in)


def looked_at(experiment: Experiment, stages: Sequence[str]) -> list[Looked]:
    """Return one network of each stage that was looked at, all of the fold of the first, in this order.

    Raises:
        UnreadableError: a file is damaged.
    """
    found: dict[str, Looked] = {}
    fold: str | None = None
    for stage in stages:
        for run in experiment.of(stage):
            if stage in found or fold not in (None, run.fold):
                continue
            one = run.attention()
            if one is not None:
                fold = run.fold
                found[stage] = Looked(stage, run.fold, run.seed, one)
    return list(found.values())
