"""Shares and conflicts of objectives over epochs, from the logs of runs."""

from dataclasses import dataclass

from tutelage.runs.frames import gradients_frame
from tutelage.runs.ledger import Experiment
from tutelage.runs.traces import Course, count_runs, course, stages_of


@dataclass(frozen=True)
class Pull:
    """What each objective of a stage added to the gradient, over the epochs that were measured.

    Args:
        stage: the stage.
        shares: one course per objective, in [0, 1].
        cosines: with the labels' gradient, in [-1, 1], of those that have one.
        runs: how many measured.
        settled: objective -> coefficients that its share of the gradient became, one per run.
    """

    stage: str
    shares: tuple[Course, ...]
    cosines: tuple[Course, ...]
    runs: int
    settled: dict[str, tuple[float, ...]]


def pulls(experiment: Experiment) -> tuple[Pull, ...]:
    """Return what was measured, by stage."""
    frame = gradients_frame(experiment)
    found = []
    for stage in stages_of(experiment, frame):
        mine = frame[frame["stage"] == stage]
        courses = [
            tuple(
                course(part, str(name), str(name)) for name in dict.fromkeys(part["trace"]) if name
            )
            for part in (mine[mine["quantity"] == key].dropna() for key in ("share", "cosine"))
        ]
        settled: dict[str, list[float]] = {}
        for run in experiment.of(stage):
            for name, value in run.record.coefficients.items():
                settled.setdefault(name, []).append(value)
        known = {name: tuple(values) for name, values in settled.items()}
        found.append(Pull(stage, courses[0], courses[1], count_runs(mine), known))
    return tuple(found)
