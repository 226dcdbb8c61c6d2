"""The ledger as pandas frames, holes included."""

from collections.abc import Callable

import pandas as pd

from tutelage.runs.ledger import Experiment
from tutelage.runs.records import Evaluation, Split

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
    rows = []
    for run in experiment.runs:
        evaluation = run.evaluations.get(split)
        rows.append(
            {
                "stage": run.stage,
                "fold": run.fold,
                "seed": run.seed,
                "status": "complete",
                "reason": "",
                **{k: f(evaluation) for k, f in METRICS.items() if evaluation is not None},
                "parameters": run.record.network.parameters,
                "macs": run.record.network.macs,
                "fingerprint": run.fingerprint,
                "path": run.path,
            }
        )
    for hole in experiment.holes:
        rows.append(
            {
                "stage": hole.stage,
                "fold": hole.fold,
                "seed": hole.seed,
                "status": hole.kind,
                "reason": hole.reason,
                "path": hole.path,
            }
        )
    columns = ["stage", "fold", "seed", "status", "reason", *METRICS]
    columns += ["parameters", "macs", "fingerprint", "path"]
    return pd.DataFrame(rows, columns=columns)


def curves_frame(experiment: Experiment) -> pd.DataFrame:
    """One row per run, epoch, split and metric of ``metrics.jsonl``."""
    rows = [
        (run.stage, run.fold, run.seed, epoch.epoch, split, metric, value)
        for run in experiment.runs
        for epoch in run.curve()
        for split, values in (
            ("train", epoch.train),
            ("validation", epoch.validation),
            ("test", epoch.test),
        )
        for metric, value in values.items()
    ]
    names = ["stage", "fold", "seed", "epoch", "split", "metric", "value"]
    return pd.DataFrame(rows, columns=names)


def traces_frame(experiment: Experiment) -> pd.DataFrame:
    """One row per run, epoch and trace of ``metrics.jsonl``: its mean over the training samples."""
    rows = [
        (run.stage, run.fold, run.seed, epoch.epoch, name, trace.mean)
        for run in experiment.runs
        for epoch in run.curve()
        for name, trace in epoch.traces.items()
    ]
    names = ["stage", "fold", "seed", "epoch", "trace", "value"]
    return pd.DataFrame(rows, columns=names).astype({"value": float})


def classes_frame(experiment: Experiment, split: Split = "test") -> pd.DataFrame:
    """One row per run and class."""
    rows = [
        (run.stage, run.fold, run.seed, name, s.precision, s.recall, s.f1, s.support)
        for run in experiment.runs
        if split in run.evaluations
        for name, s in run.evaluations[split].per_class.items()
    ]
    names = ["stage", "fold", "seed", "class", "precision", "recall", "f1", "support"]
    return pd.DataFrame(rows, columns=names)


def subjects_frame(experiment: Experiment, split: Split = "test") -> pd.DataFrame:
    """One row per run and test subject."""
    rows = [
        (run.stage, run.fold, run.seed, name, score.accuracy, score.macro_f1, score.n)
        for run in experiment.runs
        if split in run.evaluations
        for name, score in run.evaluations[split].per_subject.items()
    ]
    names = ["stage", "fold", "seed", "subject", "accuracy", "macro_f1", "n"]
    return pd.DataFrame(rows, columns=names)
