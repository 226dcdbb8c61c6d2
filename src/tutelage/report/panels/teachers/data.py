"""The surveys of an experiment, from the predictions in its run folders."""

from collections.abc import Mapping

from tutelage.runs.ledger import Experiment
from tutelage.runs.run import Run
from tutelage.study.teachers import Heard, TeacherSurvey, fixed_weights, hear, survey

Kind = tuple[tuple[str, ...], tuple[tuple[str, float], ...]]


def surveys(experiment: Experiment) -> tuple[TeacherSurvey, ...]:
    """Return one survey for each set of teachers that students learn from, with the weights of the recipe.

    Raises:
        UnreadableError: predictions are damaged.
    """
    alone = {run.key: run for run in experiment.of(experiment.record.baseline)}
    by_identity = {run.fingerprint: run for run in experiment.runs}
    kinds: dict[Kind, dict[str, Run]] = {}
    for stage in experiment.students:
        for run in experiment.of(stage):
            if run.record.teachers and run.key in alone:
                kinds.setdefault(_kind(run), {}).setdefault(stage, run)
    found = []
    for (_, weights), learners in kinds.items():
        first = next(iter(learners))
        heard = [
            each
            for run in experiment.of(first)
            if run.key in alone and (each := _hear(run, alone[run.key], by_identity)) is not None
        ]
        if heard:
            found.append(
                survey(
                    experiment.record.baseline, list(learners), heard, experiment.class_names,
                    dict(weights) or None,
                )
            )  # fmt: skip
    return tuple(found)


def _kind(run: Run) -> Kind:
    """Return the teachers of a run, and the weights that its objectives fix."""
    config, teachers = run.record.config, tuple(sorted(run.record.teachers))
    objectives = config.get("distiller") if isinstance(config, dict) else None
    weights = fixed_weights(objectives if isinstance(objectives, Mapping) else {}, teachers)
    return teachers, tuple((weights or {}).items())


def _hear(run: Run, alone: Run, by_identity: Mapping[str, Run]) -> Heard | None:
    taught = run.record.teachers
    folders = {
        name: by_identity[taught[name].fingerprint].folder
        for name in sorted(taught)
        if taught[name].fingerprint in by_identity
    }
    return hear(run.key, alone.folder, folders) if len(folders) == len(taught) else None
