"""Checks of what is compared in a study: the same data, the same weights, nothing chosen on the test split."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from tutelage.audit.checks.folds import UNEQUAL
from tutelage.audit.checks.study_runs import each_run, place_of
from tutelage.audit.findings import Finding, listed
from tutelage.runs.holes import is_given
from tutelage.runs.ledger import Experiment
from tutelage.runs.run import Run
from tutelage.study.ledger import StudyCell, StudyLedger

NUMBERS = ("coefficient", "temperature", "weights", "alpha", "beta", "gamma")
"""Arguments of objectives that weigh something."""


def unequal_folds(study: StudyLedger) -> Iterable[Finding]:
    """Find means over folds of very unequal size, where each fold counts the same."""
    if _table(study).get("average") == "micro":
        return
    said: set[tuple[int, ...]] = set()
    for cell in study.cells:
        if cell.experiment is None:
            continue
        stage = cell.experiment.record.baseline
        runs = [run for run in cell.experiment.of(stage) if "test" in run.evaluations]
        sizes = {run.fold: run.evaluations["test"].n for run in runs}
        if len(sizes) < 2 or max(sizes.values()) < UNEQUAL * min(sizes.values()):
            continue
        if tuple(sizes.values()) in said:
            continue
        said.add(tuple(sizes.values()))
        yield Finding("unequal_folds", cell.record.path, _unequal(stage, sizes, runs))


def _unequal(stage: str, sizes: Mapping[str, int], runs: list[Run]) -> str:
    small, large = min(sizes, key=sizes.__getitem__), max(sizes, key=sizes.__getitem__)
    by_fold = {
        fold: np.mean([run.evaluations["test"].accuracy for run in runs if run.fold == fold])
        for fold in sizes
    }
    macro = 100 * np.mean(list(by_fold.values()))
    micro = 100 * np.average(list(by_fold.values()), weights=list(sizes.values()))
    return (
        f"Folds of {sizes[small]} ({small}) and {sizes[large]} samples ({large}) count the same in a mean over "
        f"folds: {stage} has {macro:.2f} % so, and {micro:.2f} % over "
        "samples; the table may say average: micro."
    )


def selected_on_test(study: StudyLedger) -> Iterable[Finding]:
    """Find runs whose epoch was chosen on the test split, and tables of the seeds that are best there."""
    chosen: dict[tuple[str, str], list[str]] = {}
    for cell, run in each_run(study):
        if run.record.selected is not None and run.record.selected.on == "test":
            chosen.setdefault((cell.name, run.stage), []).append(place_of(cell, run))
    for (cell_name, stage), places in chosen.items():
        yield Finding(
            "selected_on_test",
            places[0],
            f"{stage} of {cell_name}: the epoch of {len(places)} "
            f"run{'s' * (len(places) > 1)} was chosen on the test split.",
        )
    kept = _table(study).get("runs")
    if isinstance(kept, Mapping) and str(kept.get("on", "")).startswith("test"):
        yield Finding(
            "selected_on_test",
            "study.json",
            f"The table keeps the best {kept.get('best')} "
            "seeds of each fold, chosen on the test split.",
        )


def mixed_weights(study: StudyLedger) -> Iterable[Finding]:
    """Find students of one experiment that share an objective with unequal coefficients, weights or temperatures.

    Stages that differ in nothing else are a search and no comparison of methods.
    """
    said: set[tuple[str, ...]] = set()
    for cell in study.cells:
        experiment = cell.experiment
        if experiment is None:
            continue
        runs = {
            name: complete[0] for name in experiment.students if (complete := experiment.of(name))
        }
        for name, values in _by_objective(runs).items():
            keys = dict.fromkeys(key for weights in values.values() for key in weights)
            other = [key for key in keys if _differ(key, values.values())]
            if not other or _only_weights(runs, list(values)):
                continue
            shown = listed(
                f"{stage} {', '.join(f'{key} {weights[key]}' for key in other if key in weights)}"
                for stage, weights in values.items()
            )
            if (name, shown) in said:
                continue
            said.add((name, shown))
            yield Finding(
                "mixed_weights",
                place_of(cell, runs[next(iter(values))]),
                f"Methods are compared under unequal weights of the objective {name!r}: {shown}.",
            )


def _by_objective(runs: Mapping[str, Run]) -> dict[str, dict[str, dict[str, str]]]:
    """Return objective -> stage -> its numbers; objectives of one stage alone are left out."""
    objectives: dict[str, dict[str, dict[str, str]]] = {}
    for stage, run in runs.items():
        if not run.record.teachers:
            continue  # a student that learns from labels alone has no weights to share
        for name, settings in _part(run, "distiller").items():
            if isinstance(settings, Mapping):
                objectives.setdefault(name, {})[stage] = _weights(settings)
    return {name: values for name, values in objectives.items() if len(values) > 1}


def _differ(key: str, values: Iterable[Mapping[str, str]]) -> bool:
    """Whether a number differs between stages; weights only between stages with the same teachers."""
    stated = [
        weights.get(key) for weights in values if key in weights or not key.startswith("weights of")
    ]
    return len(set(stated)) > 1


def _weights(settings: Mapping[str, Any]) -> dict[str, str]:
    numbers = {key: str(settings[key]) for key in NUMBERS if key in settings}
    if isinstance(settings.get("weights"), Mapping):
        numbers[f"weights of {', '.join(sorted(settings['weights']))}"] = numbers.pop("weights")
    for key in ("term", "weighting"):
        if isinstance(settings.get(key), Mapping):
            numbers |= _weights(settings[key])
    return numbers


def _only_weights(runs: Mapping[str, Run], stages: list[str]) -> bool:
    """Whether stages are one method with several weights: the same objectives, teachers, start and network."""
    methods = {
        (
            tuple(sorted(_part(runs[name], "distiller"))),
            tuple(sorted(runs[name].record.teachers)),
            getattr(runs[name].record.start_from, "stage", None),
            str(_part(runs[name], "network")),
        )
        for name in stages
    }
    return len(methods) == 1


def other_window(study: StudyLedger) -> Iterable[Finding]:
    """Find runs on windows of another size than asked for, and students tested on unequal numbers of them."""
    for cell, run in each_run(study):
        asked, data = _window(cell.experiment, run.stage), run.record.data
        shape = data.input_shape
        if data.modality == "signal" and asked and len(shape) == 2 and shape[-1] != asked:
            yield Finding(
                "other_window",
                place_of(cell, run),
                f"{run.stage}: windows of {shape[-1]} samples were "
                f"read, but the recipe asks for {asked}.",
            )
    for cell in study.cells:
        if cell.experiment is not None:
            yield from _unequal_counts(cell, cell.experiment)


def _unequal_counts(cell: StudyCell, experiment: Experiment) -> Iterable[Finding]:
    for part in ("n_test", "n_validation"):
        for fold in experiment.folds:
            counts: dict[int, Run] = {}
            for run in experiment.runs:
                if run.fold == fold and run.stage in experiment.students:
                    counts.setdefault(getattr(run.record.data, part), run)
            if len(counts) > 1:
                shown = listed(f"{count} ({run.stage})" for count, run in counts.items())
                last = list(counts.values())[-1]
                yield Finding(
                    "other_window",
                    place_of(cell, last),
                    f"Students of fold {fold} have unequal numbers "
                    f"of {part.removeprefix('n_')} samples: {shown}.",
                )


def inherited_rows(study: StudyLedger) -> Iterable[Finding]:
    """Find students that were taken over from an earlier run, and runs on other data than the rest."""
    for cell in study.cells:
        experiment = cell.experiment
        if experiment is None:
            continue
        for stage in experiment.students:
            complete = experiment.of(stage)
            if complete and is_given(experiment.record, stage):
                yield Finding(
                    "inherited_rows",
                    place_of(cell, complete[0]),
                    f"{stage} of {cell.name} was taken over "
                    "from an earlier run; it was not run again with the others.",
                )
        data: dict[str, Run] = {}
        for run in experiment.runs:
            if not is_given(experiment.record, run.stage):
                data.setdefault(run.record.data.fingerprint, run)
        if len(data) > 1:
            first, other, *_ = data.values()
            yield Finding(
                "inherited_rows",
                place_of(cell, other),
                f"{other.stage} was run on other data than "
                f"{first.stage}: {other.record.data.name} {other.record.data.fingerprint[:10]}, not "
                f"{first.record.data.name} {first.record.data.fingerprint[:10]}.",
            )


def seen_in_training(study: StudyLedger) -> Iterable[Finding]:
    """Find test subjects that the student, its teacher or its start was trained on."""
    runs = list(each_run(study))
    known = {run.fingerprint: run for _, run in runs}
    for cell, run in runs:
        tested = set(run.record.data.test_subjects)
        origins = {name: origin.fingerprint for name, origin in run.record.teachers.items()}
        if run.record.start_from is not None:
            origins["its start"] = run.record.start_from.fingerprint
        for name, fingerprint in {"it": run.fingerprint, **origins}.items():
            other = known.get(fingerprint)
            shared = tested & set(other.record.data.train_subjects) if other is not None else set()
            if shared:
                yield Finding(
                    "seen_in_training",
                    place_of(cell, run),
                    f"{run.stage}, seed {run.seed}: {name} was trained on "
                    f"tested subjects: {listed(sorted(shared))}.",
                )


def _part(run: Run, key: str) -> Mapping[str, Any]:
    config = run.record.config
    part = config.get(key) if isinstance(config, Mapping) else None
    return part if isinstance(part, Mapping) else {}


def _window(experiment: Experiment | None, stage: str) -> int | None:
    """Return the window that a recipe asks for; None where it does not tell, or crops."""
    resolved = experiment.record.resolved if experiment is not None else None
    if not isinstance(resolved, Mapping):
        return None
    own = (resolved.get("stages") or {}).get(stage) or {}
    window = (resolved.get("data") or {}).get("window")
    cropped = resolved.get("crop") or own.get("crop")
    return window if isinstance(window, int) and not cropped else None


def _table(study: StudyLedger) -> Mapping[str, Any]:
    resolved = study.record.resolved
    table = resolved.get("table") if isinstance(resolved, Mapping) else None
    return table if isinstance(table, Mapping) else {}
