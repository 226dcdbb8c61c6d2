"""The ledger as pandas frames, holes included."""

from collections.abc import Callable

import pandas as pd

from tutelage.runs.holes import Hole
from tutelage.runs.ledger import Experiment
from tutelage.runs.records import Evaluation, Split
from tutelage.runs.run import Run

_KEY = ("stage", "fold", "seed")

METRICS: dict[str, Callable[[Evaluation], float]] = {
    "accuracy": lambda evaluation: evaluation.accuracy,
    "macro_f1": lambda evaluation: evaluation.macro_f1,
    "nll": lambda evaluation: evaluation.nll,
    "brier": lambda evaluation: evaluation.brier,
    "ece": lambda evaluation: evaluation.ece,
    "classwise_ece": lambda evaluation: evaluation.classwise_ece,
}


def runs_frame(experiment: Experiment, split: Split = "test") -> pd.DataFrame:
    """One row per run that was asked for; a hole has its reason and no numbers."""
    rows: list[dict[str, object]] = []
    for run in experiment.runs:
        evaluation, network = run.evaluations.get(split), run.record.network
        numbers = {k: f(evaluation) for k, f in METRICS.items() if evaluation is not None}
        own = {"status": "complete", "reason": "", "fingerprint": run.fingerprint, "path": run.path}
        size = {"parameters": network.parameters, "macs": network.macs}
        rows.append(_key(run) | own | numbers | size)
    for hole in experiment.holes:
        rows.append(_key(hole) | {"status": hole.kind, "reason": hole.reason, "path": hole.path})
    columns = [*_KEY, "status", "reason", *METRICS, "parameters", "macs", "fingerprint", "path"]
    return pd.DataFrame(rows, columns=columns)


def curves_frame(experiment: Experiment) -> pd.DataFrame:
    """One row per run, epoch (from 1), split and metric of ``metrics.jsonl``."""
    rows = [
        (*_key(run).values(), epoch.epoch + 1, split, metric, value)
        for run in experiment.runs
        for epoch in run.curve()
        for split in ("train", "validation", "test")
        for metric, value in getattr(epoch, split).items()
    ]
    return pd.DataFrame(rows, columns=[*_KEY, "epoch", "split", "metric", "value"])


def traces_frame(experiment: Experiment) -> pd.DataFrame:
    """One row per run, epoch (from 1) and trace of ``metrics.jsonl``: its mean over the training samples."""
    rows = [
        (*_key(run).values(), epoch.epoch + 1, name, trace.mean)
        for run in experiment.runs
        for epoch in run.curve()
        for name, trace in epoch.traces.items()
    ]
    return pd.DataFrame(rows, columns=[*_KEY, "epoch", "trace", "value"]).astype({"value": float})


def gradients_frame(experiment: Experiment) -> pd.DataFrame:
    """One row per run, measured epoch (from 1), objective and ``norm``, ``share`` or ``cosine``; NaN for none."""
    rows = [
        (*_key(run).values(), epoch.epoch + 1, name, quantity, getattr(part, quantity))
        for run in experiment.runs
        for epoch in run.curve()
        for name, part in epoch.gradients.items()
        for quantity in ("norm", "share", "cosine")
    ]
    columns = [*_KEY, "epoch", "trace", "quantity", "value"]
    return pd.DataFrame(rows, columns=columns).astype({"value": float})


def classes_frame(experiment: Experiment, split: Split = "test") -> pd.DataFrame:
    """One row per run and class."""
    return _scores(
        experiment, split, "per_class", "class", ["precision", "recall", "f1", "support"]
    )


def subjects_frame(experiment: Experiment, split: Split = "test") -> pd.DataFrame:
    """One row per run and test subject."""
    return _scores(experiment, split, "per_subject", "subject", ["accuracy", "macro_f1", "n"])


def _scores(
    experiment: Experiment, split: Split, group: str, name: str, columns: list[str]
) -> pd.DataFrame:
    """One row per run and member of a group that is scored by itself."""
    rows = [
        (*_key(run).values(), member, *(getattr(score, column) for column in columns))
        for run in experiment.runs
        if split in run.evaluations
        for member, score in getattr(run.evaluations[split], group).items()
    ]
    return pd.DataFrame(rows, columns=[*_KEY, name, *columns])


def _key(asked: Run | Hole) -> dict[str, object]:
    return {name: getattr(asked, name) for name in _KEY}
