"""Is the file still the model? Its answers beside those of the run, window by window."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from tutelage.evaluate import calibration_error
from tutelage.export.micro import MicroRun

__all__ = ["FLOAT", "LOSS", "MicroParity", "Parity", "micro_parity_of", "parity_of"]

FLOAT = 1e-4
"""Largest difference of a score of a float file, relative to the largest score where that is above 1."""
LOSS = -0.005
"""An int8 file may lose this share of accuracy; one whose interval does not reach above it has lost more."""
_DRAWS = 4000


@dataclass(frozen=True)
class Parity:
    """A file beside the run it was made from, on the run's test windows.

    Args:
        n: windows.
        equal: share of them with the same predicted class.
        accuracy: of the file.
        accuracy_difference: file minus run.
        accuracy_interval: 95 % of it, drawing subjects with their windows anew; windows where there are none.
        macro_f1: of the file.
        macro_f1_difference: file minus run.
        macro_f1_interval: likewise.
        largest: largest difference of a score.
        scale: largest score of the run.
        ece: calibration error of the file.
        ece_run: of the run.
        drawn: what the intervals draw anew: ``subjects`` or ``windows``.
    """

    n: int
    equal: float
    accuracy: float
    accuracy_difference: float
    accuracy_interval: tuple[float, float]
    macro_f1: float
    macro_f1_difference: float
    macro_f1_interval: tuple[float, float]
    largest: float
    scale: float
    ece: float
    ece_run: float
    drawn: str

    @property
    def exact(self) -> bool:
        """Whether a float file says what the run says."""
        return self.largest <= FLOAT * max(1.0, self.scale)

    @property
    def lossy(self) -> bool:
        """Whether an int8 file has certainly lost more accuracy than is allowed."""
        return self.accuracy_interval[1] < LOSS


@dataclass(frozen=True)
class MicroParity:
    """An int8 file in the interpreter of microcontrollers, beside LiteRT and the run, on the same windows.

    Args:
        n: windows it was asked about.
        of: windows that LiteRT was asked about; where ``n`` is smaller, they are evenly spaced among these.
        equal_litert: share with the class that LiteRT predicts.
        largest_steps: largest difference of a score from LiteRT's, in steps of the int8 output.
        equal: share with the class that the run predicts.
        accuracy: in this interpreter.
        accuracy_litert: of LiteRT.
        accuracy_run: of the run.
    """

    n: int
    of: int
    equal_litert: float
    largest_steps: float
    equal: float
    accuracy: float
    accuracy_litert: float
    accuracy_run: float


def micro_parity_of(
    micro: MicroRun,
    litert: NDArray[np.float32],
    run: NDArray[np.float32],
    labels: NDArray[np.int64],
    step: float,
) -> MicroParity:
    """Compare what an int8 file says in two interpreters with what the run says.

    Args:
        micro: what the interpreter of microcontrollers said.
        litert: scores of LiteRT, [n, C].
        run: scores of the run, [n, C].
        labels: [n].
        step: of the int8 output.
    """
    asked, truth = micro.index, labels[micro.index]
    other = litert[asked]
    ours, its, theirs = (said.argmax(axis=1) for said in (micro.logits, other, run[asked]))
    return MicroParity(
        n=len(asked),
        of=len(labels),
        equal_litert=float((ours == its).mean()),
        largest_steps=float(np.abs(micro.logits - other).max() / step),
        equal=float((ours == theirs).mean()),
        accuracy=float((ours == truth).mean()),
        accuracy_litert=float((its == truth).mean()),
        accuracy_run=float((theirs == truth).mean()),
    )


def parity_of(
    file: NDArray[np.float32],
    run: NDArray[np.float32],
    labels: NDArray[np.int64],
    subjects: Sequence[str] | None,
) -> Parity:
    """Compare the scores of a file with those of the run.

    Args:
        file: [n, C].
        run: [n, C], as they were stored after training.
        labels: [n].
        subjects: [n], or None.
    """
    ours, theirs = file.argmax(axis=1), run.argmax(axis=1)
    people = np.asarray(
        subjects if subjects is not None and len(set(subjects)) > 1 else np.arange(len(labels))
    )
    _, owner = np.unique(people, return_inverse=True)
    classes = run.shape[1]
    # One confusion matrix a group: every resample is a sum of them.
    mine, other = (_confusions(labels, said, owner, classes) for said in (ours, theirs))
    generator = np.random.default_rng(0)
    groups = len(mine)
    times = generator.multinomial(groups, np.full(groups, 1 / groups), _DRAWS)
    drawn = [np.einsum("dg,gij->dij", times, counts, optimize=True) for counts in (mine, other)]
    accuracy = [_accuracy(counts) for counts in drawn]
    f1 = [_macro_f1(counts) for counts in drawn]
    whole = [counts.sum(axis=0)[None] for counts in (mine, other)]
    return Parity(
        n=len(labels),
        equal=float((ours == theirs).mean()),
        accuracy=float(_accuracy(whole[0])[0]),
        accuracy_difference=float(_accuracy(whole[0])[0] - _accuracy(whole[1])[0]),
        accuracy_interval=_interval(accuracy[0] - accuracy[1]),
        macro_f1=float(_macro_f1(whole[0])[0]),
        macro_f1_difference=float(_macro_f1(whole[0])[0] - _macro_f1(whole[1])[0]),
        macro_f1_interval=_interval(f1[0] - f1[1]),
        largest=float(np.abs(file.astype(np.float64) - run).max()),
        scale=float(np.abs(run).max()),
        ece=calibration_error(*map(torch.from_numpy, (file, labels))),
        ece_run=calibration_error(*map(torch.from_numpy, (run, labels))),
        drawn="subjects" if groups < len(labels) else "windows",
    )


def _confusions(
    labels: NDArray[np.int64], said: NDArray[np.int64], owner: NDArray[np.int64], classes: int
) -> NDArray[np.float64]:
    counts = np.zeros((int(owner.max()) + 1, classes, classes))
    np.add.at(counts, (owner, labels, said), 1)
    return counts


def _accuracy(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.trace(counts, axis1=1, axis2=2) / counts.sum(axis=(1, 2)))


def _macro_f1(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return macro-F1 over the classes that are there, of each confusion matrix [..., C, C]."""
    hits = np.diagonal(counts, axis1=1, axis2=2)
    support = counts.sum(axis=2)
    total = support + counts.sum(axis=1)
    f1 = np.divide(2 * hits, total, out=np.zeros_like(hits), where=total > 0)
    return np.asarray((f1 * (support > 0)).sum(axis=1) / (support > 0).sum(axis=1))


def _interval(differences: NDArray[np.float64]) -> tuple[float, float]:
    low, high = np.quantile(differences, [0.025, 0.975])
    return float(low), float(high)
