"""Coefficients beside which the student would hardly hear its labels: said before anything is trained."""

from collections.abc import Mapping

from tutelage.objectives import Distiller
from tutelage.recipe.resolve import RunSpec
from tutelage.schedules import GradientShare
from tutelage.steps.gradient_parts import labels_of
from tutelage.types import Clock

__all__ = ["drowning"]

FACTOR = 10
"""So many times the labels' gradient is worth a sentence."""


def drowning(distiller: Distiller, reach: Mapping[str, float], spec: RunSpec) -> tuple[str, ...]:
    """Return a sentence for each objective whose gradient is more than ten times that of the labels.

    Args:
        distiller: the objectives.
        reach: objective -> norm of the gradient of its batch mean, before its coefficient.
        spec: the run.
    """
    labels = labels_of(distiller)
    if labels is None or labels not in reach:
        return ()
    found = {n: _times(distiller, reach, labels, n, spec) for n in reach if n != labels}
    return tuple(
        f"{spec.place}.distiller.{name}: its gradient is {times:.0f} times that of {labels} in the one small "
        f"batch that was tried{_by(distiller, name)}, so the student would hardly hear its labels"
        f"{_equal(distiller, name, times)}; "
        "coefficient: {type: GradientShare, share: 0.3} asks for a share of the gradient instead"
        for name, times in found.items()
        if times > FACTOR
    )


def _by(distiller: Distiller, name: str) -> str:
    stated = distiller.coefficients[name]
    return f" (coefficient {stated:g})" if isinstance(stated, float | int) else ""


def _equal(distiller: Distiller, name: str, times: float) -> str:
    stated = distiller.coefficients[name]
    return f" ({stated / times:.2g} would be as strong)" if isinstance(stated, float | int) else ""


def _times(
    distiller: Distiller, reach: Mapping[str, float], labels: str, name: str, spec: RunSpec
) -> float:
    """Return how many times the labels' gradient one is, where in training it is most."""
    if isinstance(distiller.coefficients[name], GradientShare):
        return 0.0
    epochs = spec.train.epochs
    clocks = [Clock(e, e, epochs) for e in range(0, epochs, max(1, epochs // 20))]
    pairs = [(distiller.coefficient(name, c), distiller.coefficient(labels, c)) for c in clocks]
    ratios = [float(mine) / float(other) for mine, other in pairs if float(other) > 0]
    return max(ratios, default=0.0) * reach[name] / reach[labels]
