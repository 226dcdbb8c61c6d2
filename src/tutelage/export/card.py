"""``card.md``: what a shipped model is for, how good it is, and what nobody tested."""

from collections.abc import Sequence
from statistics import fmean
from typing import Literal

from jinja2 import Environment, PackageLoader, StrictUndefined

from tutelage.export.choosing import ShippedRun
from tutelage.export.facts import ModelFacts
from tutelage.export.package import TRUTH, Shipped
from tutelage.export.parity import LOSS
from tutelage.runs.records import Evaluation
from tutelage.runs.run import Run
from tutelage.statistics.paired import FEWEST_UNITS, PairedDifference, paired_difference

__all__ = ["write_card"]


def write_card(source: ShippedRun, shipped: Shipped) -> str:
    """Return the card of a shipped model, as Markdown."""
    tested = [run for run in source.siblings if "test" in run.evaluations]
    evaluations = [run.evaluations["test"] for run in tested]
    pages = Environment(
        loader=PackageLoader("tutelage.export", "."), undefined=StrictUndefined, autoescape=False,
        keep_trailing_newline=True,
    )  # fmt: skip
    shares = {"accuracy": _level(tested, "accuracy"), "macro_f1": _level(tested, "macro_f1")}
    return pages.get_template("card.md.j2").render(
        shipped=shipped, source=source, facts=shipped.facts, run=source.shipped, experiment=source.experiment,
        refit=source.refit, truth=TRUTH[shipped.windows], trained=_trained(source), reads=_reads(shipped.facts),
        own=source.shipped.evaluations.get("test"), tested=tested, **shares,
        subjects=_subjects(evaluations), classes=_classes(evaluations, source.experiment.class_names),
        drawn=" or ".join(sorted({parity.drawn for parity in shipped.parity.values()})) or "nothing",
        people=len(source.shipped.record.data.train_subjects), allowed=f"{100 * LOSS:g}",
        percent=_percent, points=_points, ends=_ends, about=_about,
    )  # fmt: skip


def _level(tested: Sequence[Run], metric: Literal["accuracy", "macro_f1"]) -> PairedDifference:
    """Return the mean of a metric over runs; its interval is that of its difference from nothing, by one rule."""
    values = {run.key: getattr(run.evaluations["test"], metric) for run in tested}
    return paired_difference(values, dict.fromkeys(values, 0.0))


def _about(level: PairedDifference) -> str:
    """Return the interval of a mean and whom it is about, or why there is none."""
    interval = level.interval
    if interval is None or level.units < FEWEST_UNITS:
        unit = "fold" if level.folds > 1 else "run"
        return f" ({level.units} {unit}{'s' * (level.units != 1)}: too few for an interval)"
    who = "for new people" if level.folds > 1 else "for these people, trained again"
    low, high = max(0.0, interval.low), min(1.0, interval.high)
    return f" (95 % {_percent(low)} to {_percent(high)} {who})"


def _trained(source: ShippedRun) -> list[str]:
    """Return how long each stage of a refitted network was trained, in words."""
    lengths = source.refit.lengths if source.refit else {}
    return [
        f"`{name}` for {length.epochs} of {length.asked} epochs, the median of the best of {length.runs} runs"
        if length.chosen
        else f"`{name}` for {length.epochs} epochs, as its recipe says"
        for name, length in lengths.items()
    ]


def _reads(facts: ModelFacts) -> str:
    if facts.modality != "signal":
        return f"images of {facts.shape[-2]} x {facts.shape[-1]} pixels, RGB, 0 to 255"
    seconds = f" ({facts.window / facts.rate:.3g} s at {facts.rate:g} Hz)" if facts.rate else ""
    hop = f", one every {facts.hop}," if facts.hop else ""
    channels = f"{len(facts.channels)} channels ({facts.inputs})"
    return f"windows of {facts.window} samples{seconds}{hop} of {channels}"


def _subjects(evaluations: Sequence[Evaluation]) -> list[tuple[str, float, int]]:
    """Return test subjects with accuracy (mean over runs) and windows, the worst first."""
    scores: dict[str, list[tuple[float, int]]] = {}
    for evaluation in evaluations:
        for name, score in evaluation.per_subject.items():
            scores.setdefault(name, []).append((score.accuracy, score.n))
    rows = [
        (name, fmean(accuracy for accuracy, _ in own), own[0][1]) for name, own in scores.items()
    ]
    return sorted(rows, key=lambda row: row[1])


def _classes(
    evaluations: Sequence[Evaluation], names: Sequence[str]
) -> list[tuple[str, float | None, float | None, int]]:
    """Return classes with recall and precision (means over runs where they are defined) and windows of a run."""
    rows = []
    for name in names:
        scores = [
            evaluation.per_class[name] for evaluation in evaluations if name in evaluation.per_class
        ]
        if scores:
            recall = [score.recall for score in scores if score.recall is not None]
            precision = [score.precision for score in scores if score.precision is not None]
            windows = round(fmean(score.support for score in scores))
            rows.append(
                (
                    name,
                    fmean(recall) if recall else None,
                    fmean(precision) if precision else None,
                    windows,
                )
            )
    return rows


def _percent(share: float | None, digits: int = 1) -> str:
    return "–" if share is None else f"{100 * share:.{digits}f}"


def _points(difference: float) -> str:
    return f"{100 * difference:+.2f}"


def _ends(interval: tuple[float, float]) -> str:
    return f"{_points(interval[0])} to {_points(interval[1])}"
