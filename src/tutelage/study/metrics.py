"""What a run is worth, by the name of a metric."""

from collections.abc import Callable, Iterable

from tutelage.errors import UserError, unknown
from tutelage.runs.frames import METRICS
from tutelage.runs.records import Evaluation, Split
from tutelage.runs.robustness import AskedRecord
from tutelage.runs.run import Run

__all__ = [
    "MEASURED",
    "UNITS",
    "Metric",
    "is_damaged",
    "lower_is_better",
    "metric_of",
    "refuse_unasked",
    "title_of",
]

Metric = Callable[[Run, Split], float | None]
"""Says what a run is worth on a split; None where it does not tell."""

MEASURED: dict[str, Callable[[Evaluation], float | None]] = {
    **METRICS, "harmonic_mean": lambda one: one.harmonic_mean
}  # fmt: skip
DAMAGED = "damaged"
"""Metric: accuracy on damaged test inputs; ``damaged:Noise``, ``damaged:Noise:3`` of one kind, of one severity."""
UNITS = {"nll": "nats", "brier": ""}
_TITLES = {
    "accuracy": "accuracy", "macro_f1": "macro-F1", "nll": "negative log-likelihood",
    "brier": "Brier score", "ece": "calibration error (ECE)",
    "classwise_ece": "classwise calibration error", "harmonic_mean": "harmonic mean of the groups",
}  # fmt: skip


def metric_of(name: str, place: str = "metric") -> Metric:
    """Return a metric by its name.

    Raises:
        UserError: there is none.
    """
    if is_damaged(name):
        return _on_damaged(name, place)
    if name not in MEASURED:
        raise unknown(place, "metric", name, [*MEASURED, DAMAGED])
    measured = MEASURED[name]

    def value(run: Run, split: Split) -> float | None:
        return measured(run.evaluations[split]) if split in run.evaluations else None

    return value


def is_damaged(name: str) -> bool:
    """Whether a metric is of damaged test inputs."""
    return name.partition(":")[0] == DAMAGED


def _damaged_parts(name: str, place: str) -> tuple[str | None, int | None]:
    """Return kind and severity of ``damaged[:kind[:severity]]``."""
    _, _, rest = name.partition(":")
    kind, _, severity = rest.partition(":")
    if severity and not severity.isdecimal():
        raise UserError(
            f"{place}: found {name!r}; allowed: damaged, damaged:<name>, damaged:<name>:<severity>"
        )
    return kind or None, int(severity) if severity else None


def title_of(name: str) -> str:
    """Return a metric in words."""
    if not is_damaged(name):
        return _TITLES.get(name, name)
    kind, severity = _damaged_parts(name, "metric")
    of = "mean over all corruptions" if kind is None else kind
    step = "mean over severities" if severity is None else f"severity {severity}"
    return f"accuracy on damaged inputs ({of}, {step}, mean over draws)"


def _on_damaged(name: str, place: str) -> Metric:
    kind, severity = _damaged_parts(name, place)

    def value(run: Run, split: Split) -> float | None:
        known = run.robustness if split == "test" else None
        return None if known is None else known.mean(kind, severity)

    return value


def refuse_unasked(name: str, asked: Iterable[AskedRecord], place: str = "metric") -> None:
    """Refuse a metric of damage that no experiment asks for.

    Raises:
        UserError: what there is.
    """
    if not is_damaged(name):
        return
    every = list(asked)
    kinds = dict.fromkeys(kind for one in every for kind in one.corruptions)
    steps = sorted({step for one in every for step in one.severities})
    kind, severity = _damaged_parts(name, place)
    if not kinds:
        raise UserError(
            f"{place}: {name}, but no run was evaluated on damaged inputs (allowed: evaluate.corruptions in the "
            "recipe; run it again, nothing is trained anew)"
        )
    if kind is not None and kind not in kinds:
        raise unknown(place, "corruption", kind, kinds)
    if severity is not None and severity not in steps:
        raise unknown(place, "severity", str(severity), map(str, steps))


def lower_is_better(name: str) -> bool:
    """Whether less of a metric is better."""
    return name in ("nll", "brier", "ece", "classwise_ece")
