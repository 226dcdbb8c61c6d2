"""What is said of damaged inputs."""

from collections.abc import Sequence

from tutelage.report.panels.robustness.data import NamedContrast, damage_values
from tutelage.report.verdicts import contrast_sentence, left_after_correction
from tutelage.report.wording import listed, percent, plural
from tutelage.runs.ledger import Experiment
from tutelage.statistics.spreads import mean_of_folds
from tutelage.study.contrasts import Contrast

__all__ = ["caption_of_curves", "intro", "notes"]


def intro(experiment: Experiment) -> str:
    """Say what was done."""
    asked = experiment.asked
    assert asked is not None, "damage was asked for"
    steps = "severity" if len(asked.severities) == 1 else "severities"
    return (
        f"The same networks on test inputs that were damaged: {plural(len(asked.corruptions), 'kind')} of damage, "
        f"{steps} {listed([str(step) for step in asked.severities])}, {plural(asked.draws, 'draw')} each. Every "
        "network sees the same damage; nothing was trained or chosen on it."
    )


def caption_of_curves(left_out: Sequence[str]) -> str:
    """Say what the curves are."""
    missing = f" Not drawn, but in the table: {listed(list(left_out))}." if left_out else ""
    return (
        "Mean over draws, then over folds of the mean over seeds. Band: 95 % interval, over folds (new people) "
        f"or, with one fold, over its seeds (this split).{missing}"
    )


def notes(
    experiment: Experiment, stages: Sequence[str], overall: Sequence[Contrast], kinds: Sequence[NamedContrast]
) -> tuple[str, ...]:  # fmt: skip
    """Say what is left of the first stage, what a student gains under damage, and what the correction leaves."""
    said = [_kept(experiment, stage) for stage in stages[:1]]
    said += [f"Over all damage: {contrast_sentence(one, 100, 'points')}" for one in overall]
    named = [
        (f"{one.contrast.a} under {one.kind}", one.contrast.oriented)
        for one in kinds
        if not one.contrast.same
    ]
    left = left_after_correction(
        named, experiment.record.baseline, "differences under one kind of damage"
    )
    return tuple([*said, *([left] if left else [])])


def _kept(experiment: Experiment, stage: str) -> str:
    asked = experiment.asked
    assert asked is not None, "damage was asked for"
    clean = mean_of_folds(damage_values(experiment, stage, severity=0))
    every = mean_of_folds(damage_values(experiment, stage))
    by_kind = {
        kind: mean_of_folds(damage_values(experiment, stage, kind)) for kind in asked.corruptions
    }
    worst = min(by_kind, key=lambda kind: by_kind[kind])
    hardest = f"; hardest is {worst}, {percent(by_kind[worst])} %" if len(by_kind) > 1 else ""
    return f"{stage}: {percent(clean)} % undamaged, {percent(every)} % damaged, mean over all damage{hardest}."
