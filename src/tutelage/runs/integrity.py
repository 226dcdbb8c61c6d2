"""Checks of a ledger: what must agree, what must add up, and what only looks odd."""

import hashlib
import math
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from tutelage.errors import UserError, unknown
from tutelage.runs.logs import Trace
from tutelage.runs.open_set import OpenSet
from tutelage.runs.predictions import Predictions, SampleTraces
from tutelage.runs.records import (
    Ancestor,
    Entry,
    Evaluation,
    ExperimentRecord,
    RunRecord,
    Start,
)
from tutelage.runs.run import Run

ID_LENGTH = 10


def check_stages(record: ExperimentRecord, path: Path) -> None:
    """Refuse a baseline, student or teacher that no run belongs to."""
    stages = {entry.stage for entry in record.runs}
    roles = {
        "baseline": (record.baseline,),
        "students": record.students,
        "teachers": record.teachers,
    }
    for role, names in roles.items():
        for name in names:
            if name not in stages:
                raise unknown(f"{path}: {role}", "stage", name, stages)


def check_path(entry: Entry, folder: Path) -> None:
    """Refuse a folder whose name tells another seed or fingerprint than the entry."""
    wanted = f"seed-{entry.seed}-{entry.fingerprint[:ID_LENGTH]}"
    if PurePosixPath(entry.path).name != wanted:
        raise UserError(
            f"{folder / 'experiment.json'}: the entry of {_named(entry)} has the fingerprint "
            f"{entry.fingerprint[:ID_LENGTH]}, but its folder is {entry.path!r}, not {wanted!r}"
        )


def check_identity(entry: Entry, record: RunRecord, folder: Path, *, given: bool) -> None:
    """Refuse a ``run.json`` that is not the run that its folder and ``experiment.json`` name.

    The fingerprint and the seed must agree. The stage may differ: two stages that ask for the same
    network share a run, and the fingerprint proves it. A ``given`` run has a fingerprint of its own.
    """
    parts = folder.parts
    claims = [] if given else [("fingerprint", entry.fingerprint, record.fingerprint),
                               ("seed", entry.seed, record.seed),
                               ("stage", parts[-2], record.stage)]  # fmt: skip
    if not given and record.stage == entry.stage and "/".join(parts[-3:]) == entry.path:
        claims.append(("fold", entry.fold, record.fold))
    for name, asked, stated in claims:
        if asked != stated:
            raise UserError(
                f"{folder}/run.json: the {name} is {stated!r}, but experiment.json and the folder "
                f"name say {asked!r}; the record was changed or moved, run it again"
            )


def check_sums(evaluation: Evaluation, class_names: Sequence[str], where: str) -> None:
    """Refuse an evaluation whose parts do not add up to its whole."""
    confusion = np.array(evaluation.confusion, dtype=np.int64)
    size = len(class_names)
    if confusion.shape != (size, size):
        raise UserError(f"{where}: the confusion matrix is {confusion.shape} for {size} classes")
    sums = {"confusion": int(confusion.sum())}
    if evaluation.per_class:
        if set(evaluation.per_class) != set(class_names):
            raise UserError(f"{where}: per_class names other classes than run.json")
        sums["per_class"] = sum(score.support for score in evaluation.per_class.values())
    if evaluation.per_subject:
        sums["per_subject"] = sum(score.n for score in evaluation.per_subject.values())
    for name, total in sums.items():
        if total != evaluation.n:
            raise UserError(f"{where}: {name} counts {total} samples, but n is {evaluation.n}")
    _same(evaluation.accuracy, np.trace(confusion) / evaluation.n, evaluation.n, where, "confusion")
    if evaluation.per_subject:
        right = sum(score.accuracy * score.n for score in evaluation.per_subject.values())
        _same(evaluation.accuracy, right / evaluation.n, evaluation.n, where, "per_subject")


def check_predictions(evaluation: Evaluation, predictions: Predictions, where: str) -> None:
    """Refuse predictions that give another accuracy than the evaluation they belong to."""
    labels, logits = predictions.labels, predictions.logits
    if logits.shape[1] != len(evaluation.confusion):
        raise UserError(
            f"{where}: logits of {logits.shape[1]} classes, expected {len(evaluation.confusion)}"
        )
    if len(labels) != evaluation.n or len(logits) != evaluation.n:
        raise UserError(
            f"{where}: {len(labels)} labels and {len(logits)} logits, n = {evaluation.n}"
        )
    if not np.isfinite(logits).all():
        raise UserError(f"{where}: a logit is not finite")
    accuracy = float(np.mean(logits.argmax(axis=1) == labels))
    _same(evaluation.accuracy, accuracy, evaluation.n, where, "predictions")


def check_groups(
    evaluation: Evaluation,
    groups: Mapping[str, Sequence[str]],
    class_names: Sequence[str],
    predictions: Predictions | None,
    where: str,
) -> None:
    """Refuse metrics of groups of classes that the record does not name, or that the predictions contradict.

    Args:
        evaluation: of a split.
        groups: name of each group -> its classes, of the record.
        class_names: C names.
        predictions: of the split, if they were kept.
        where: for the sentence.
    """
    for name, score in evaluation.groups.items():
        if not set(groups.get(name, ())) <= set(class_names) or name not in groups:
            raise UserError(f"{where}: groups names {name!r}, whose classes run.json does not tell")
        if predictions is None:
            continue
        labels, logits = predictions.labels, predictions.logits
        numbers = np.array([class_names.index(label) for label in groups[name]])
        mine = np.isin(labels, numbers)
        if int(mine.sum()) != score.n:
            raise UserError(
                f"{where}: groups.{name} counts {score.n} samples, predictions {int(mine.sum())}"
            )
        said = numbers[logits[mine][:, numbers].argmax(axis=1)]
        accuracy = float(np.mean(said == labels[mine]))
        _same(score.accuracy, accuracy, score.n, f"{where}: groups.{name}", "predictions")
    values = [score.accuracy for score in evaluation.groups.values()]
    if evaluation.harmonic_mean is not None:
        mean = len(values) / sum(1 / value for value in values) if values and all(values) else 0.0
        if abs(mean - evaluation.harmonic_mean) > 1e-6:
            raise UserError(
                f"{where}: harmonic_mean is {evaluation.harmonic_mean:.4f}, but the groups give {mean:.4f}"
            )


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
    _same(told.accuracy, accuracy, told.n_known, f"{where}: open_set", "predictions")


def check_traces(traces: Mapping[str, Trace], samples: SampleTraces | None, run: Run) -> None:
    """Refuse traces of other classes, or whose samples give another mean than the log."""
    classes = len(run.record.data.class_names)
    for name, trace in traces.items():
        if len(trace.by_class) != classes:
            raise UserError(
                f"{run.folder}/metrics.jsonl: traces.{name}.by_class has {len(trace.by_class)} "
                f"values for {classes} classes"
            )
        values = None if samples is None else samples.values.get(name)
        if values is None or trace.mean is None or not np.isfinite(values).all():
            continue
        mean = float(values.mean()) if len(values) else math.nan
        if not math.isclose(mean, trace.mean, rel_tol=1e-3, abs_tol=1e-3):
            raise UserError(
                f"{run.folder}/traces.npz: the mean of {name} is {mean:.4f}, but the last epoch "
                f"of metrics.jsonl says {trace.mean:.4f}"
            )


def _same(stated: float, counted: float, n: int, where: str, source: str) -> None:
    if abs(stated - counted) > 1.5 / n:
        raise UserError(f"{where}: accuracy is {stated:.4f}, but {source} gives {counted:.4f}")


def check_together(runs: Sequence[Run], compared: Collection[str]) -> list[str]:
    """Refuse runs that cannot share a table: other classes, or other test samples in a fold.

    A teacher that is not compared may have been tested on some of the samples: an expert of some classes.

    Args:
        runs: the complete ones.
        compared: the stages that are.

    Returns:
        What to say of the experts.
    """
    tested: dict[str, tuple[set[tuple[int, int]], str]] = {}
    partial: dict[str, str] = {}
    for run in sorted(runs, key=lambda run: run.stage not in compared):
        if run.record.data.class_names != runs[0].record.data.class_names:
            raise UserError(f"{run.folder}/run.json: other class names than {runs[0].folder}")
        predictions = run.predictions()
        if predictions is None:
            continue
        rows = set(zip(predictions.index.tolist(), predictions.labels.tolist(), strict=True))
        all_of_them, where = tested.setdefault(run.fold, (rows, run.path))
        if run.stage not in compared and rows < all_of_them:
            partial.setdefault(run.stage, f"{len(rows)} of {len(all_of_them)}")
        elif rows != all_of_them:
            raise UserError(
                f"{run.folder}/predictions-test.npz: other test samples or labels than {where}; "
                f"runs of fold {run.fold!r} cannot be compared"
            )
    return [
        f"{stage} was tested on samples of its own classes alone ({count} in a fold): its numbers are those "
        "of an easier task than the students'."
        for stage, count in partial.items()
    ]


def repeated_entries(entries: Iterable[Entry]) -> list[str]:
    """Say which runs are listed more than once, and which fingerprints answer several questions."""
    counts = Counter(entries)
    repeated = [
        f"{_named(entry)} is listed {count} times; it is counted once."
        for entry, count in counts.items()
        if count > 1
    ]
    questions: dict[str, set[tuple[str, int]]] = defaultdict(set)
    stages: dict[str, set[str]] = defaultdict(set)
    for entry in counts:
        questions[entry.fingerprint].add((entry.fold, entry.seed))
        stages[entry.fingerprint].add(entry.stage)
    several = [
        f"Fingerprint {fingerprint[:ID_LENGTH]} stands for {len(keys)} different folds or seeds."
        for fingerprint, keys in questions.items()
        if len(keys) > 1
    ]
    shared = {tuple(sorted(names)) for names in stages.values() if len(names) > 1}
    return [*repeated, *several] + [
        f"{' and '.join(names)} ask for the same network and share its runs."
        for names in sorted(shared)
    ]


def unlisted(folder: Path, record: ExperimentRecord) -> list[str]:
    """Say which run folders ``experiment.json`` does not mention; they are not read."""
    listed = {PurePosixPath(entry.path) for entry in record.runs}
    folders = (path.parent.relative_to(folder).as_posix()
               for path in sorted(folder.glob("*/*/seed-*/run.json")))  # fmt: skip
    return [f"{path} is not listed in experiment.json; it is ignored." for path in folders
            if PurePosixPath(path) not in listed]  # fmt: skip


def oddities(runs: Sequence[Run]) -> list[str]:
    """Say what does not forbid an average but deserves a look."""
    return [*_copies(runs), *_constant(runs), *_ancestors(runs), *_code(runs), *_later(runs)]


def _copies(runs: Sequence[Run]) -> list[str]:
    same: dict[bytes, set[str]] = defaultdict(set)
    for run in runs:
        predictions = run.predictions()
        if predictions is not None:
            same[_digest(predictions.logits)].add(run.path)
    return [
        f"The predictions of {' and '.join(sorted(paths))} are identical to the last bit."
        for paths in same.values()
        if len(paths) > 1
    ]


def _constant(runs: Sequence[Run]) -> list[str]:
    return [
        f"{run.path} predicts one class only."
        for run in runs
        for evaluation in [run.evaluations.get("test") or run.evaluations.get("validation")]
        if evaluation is not None and np.count_nonzero(np.sum(evaluation.confusion, axis=0)) == 1
    ]


def _ancestors(runs: Sequence[Run]) -> list[str]:
    known = {run.fingerprint for run in runs}
    outside: dict[str, set[str]] = defaultdict(set)
    for run in runs:
        origins: dict[str, Ancestor | Start] = dict(run.record.teachers)
        if run.record.start_from is not None:
            origins[run.record.start_from.stage or "its start"] = run.record.start_from
        for name, origin in origins.items():
            if origin.fingerprint not in known:
                outside[run.stage].add(name)
    return [
        f"{stage} builds on {', '.join(sorted(names))} from a run that is not complete in this "
        "experiment."
        for stage, names in outside.items()
    ]


def _code(runs: Sequence[Run]) -> list[str]:
    commits = {str(run.record.code.get("commit")) for run in runs}
    dirty = any(run.record.code.get("dirty") for run in runs)
    several = f"The runs were made by {len(commits)} different versions of the code."
    changed = "Some runs were made by code with changes that were not committed."
    return [several] * (len(commits) > 1) + [changed] * dirty


def _later(runs: Sequence[Run]) -> list[str]:
    """Say which keys of ``run.json`` this version does not know: a later one wrote them, or they are misspelt."""
    keys = {key: run.path for run in runs for key in run.record.unknown}
    return [f"{path}/run.json has the key {key!r}, which this version does not know; it is kept and not read."
            for key, path in sorted(keys.items())]  # fmt: skip


def _digest(values: NDArray[np.generic]) -> bytes:
    return hashlib.sha256(np.ascontiguousarray(values).tobytes()).digest()


def _named(entry: Entry) -> str:
    return f"{entry.stage}, fold {entry.fold}, seed {entry.seed}"
