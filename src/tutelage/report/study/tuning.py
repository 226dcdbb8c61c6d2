"""How hyper-parameters were chosen: the paragraph for a paper, the plateau, the noise floor, every setting."""

from pathlib import Path

from tabulate import tabulate

from tutelage.inert import printable
from tutelage.report.drawing.canvas import Drawing, safe
from tutelage.report.study.tuning_figures import shown, sweep, ternary
from tutelage.report.wording import listed, minus, percent, plural
from tutelage.report.writing import write, writing
from tutelage.study.tune import Axis, Plateau, Setting, Tuning, plateau, reach, read_tuning

__all__ = ["paragraph", "write_tuning"]

METRICS = {"accuracy": "accuracy", "macro_f1": "macro-F1", "nll": "negative log-likelihood"}
METHODS = {
    "tpe": "by the tree-structured Parzen estimator of Optuna {optuna} (seed {seed})",
    "random": "at random (Optuna {optuna}, seed {seed})",
    "grid": "on a grid",
}
SWEPT = (
    "Every setting that was trained to the end. The band holds what cannot be told from the best setting's mean "
    "over fresh seeds (dashed); marks at the bottom are settings that were stopped early. Data: `settings.csv`."
)
HEAT = (
    "Colour is linear between the settings that were tried, and spans at least the margin of the plateau, so that "
    "noise does not look like a landscape. The dashed line is the edge of the plateau."
)


def write_tuning(folder: Path) -> Path:
    """Write ``tune.md``, its figures and their data beside the record of a search.

    Args:
        folder: of the study.

    Returns:
        The path of ``tune.md``.

    Raises:
        tutelage.errors.UserError: there is no search, its record is damaged, or there is no room.
    """
    tuning = read_tuning(folder)
    out = folder / "tune"
    region = plateau(tuning)
    lines = [f"# How the hyper-parameters of {tuning.stage} were chosen", ""]
    lines += [f"{tuning.title}.", ""] if tuning.title else []
    if tuning.synthetic:
        lines += ["The data are synthetic: these numbers say nothing about people or methods.", ""]
    with writing(folder):
        if region is None:
            lines += ["No setting has been trained to the end yet.", ""]
        else:
            lines += [paragraph(tuning, region), "", *_chosen(tuning), *_plateau(tuning, region)]
            lines += _figures(tuning, region, out)
        lines += _settings(tuning, region)
        return write(out / "tune.md", printable("\n".join([*lines, ""])).encode())


def paragraph(tuning: Tuning, plateau: Plateau) -> str:
    """Return how hyper-parameters were chosen, in the words of a paper, from the record alone."""
    metric = METRICS[tuning.metric]
    best = tuning.best
    assert best is not None
    sentences = [
        f"Hyper-parameters were chosen on validation data only; the test split was not evaluated for any of the "
        f"settings. We searched {listed([_range(axis) for axis in tuning.axes])} "
        f"{METHODS[tuning.method].format(optuna=tuning.optuna, seed=tuning.seed)}.",
        _effort(tuning),
        f"Each setting was trained for {plural(tuning.epochs, 'epoch')} on {_folds(tuning)} with "
        f"{_seeds(tuning.seeds)}, and judged by its validation {metric}{_subjects(tuning)}"
        + (", mean over folds of the mean over seeds." if best.scores[1:] else "."),
    ]
    if tuning.pruned:
        sentences.append(
            "Settings whose validation curve was worse than the median of the earlier ones were stopped early "
            "and are in no comparison."
        )
    return " ".join([*sentences, *_outcome(tuning, plateau, best)])


def _effort(tuning: Tuning) -> str:
    counts = {state: sum(one.state == state for one in tuning.settings)
              for state in ("complete", "stopped early", "failed")}  # fmt: skip
    said = [f"{counts['complete']} were trained to the end"]
    said += [
        f"{counts[s]} {'was' if counts[s] == 1 else 'were'} {s}"
        for s in ("stopped early",)
        if counts[s]
    ]
    said += [f"{counts['failed']} diverged or failed"] if counts["failed"] else []
    ended = f"; {tuning.ended}" if tuning.ended else ""
    return (
        f"Of {plural(len(tuning.settings), 'setting')} {listed(said)} ({tuning.minutes:.0f} minutes of training, "
        f"teachers included{ended})."
    )


def _outcome(tuning: Tuning, plateau: Plateau, best: Setting) -> list[str]:
    metric = METRICS[tuning.metric]
    told = [
        f"The best setting was {_values(tuning, best)} (validation {metric} {_show(tuning, best.value or 0.0)})."
    ]
    again = tuning.again
    if plateau.fresh and again is not None:
        told.append(
            f"Trained again with {_seeds(again.seeds)}, which played no part in choosing it, it reaches "
            f"{_show(tuning, plateau.reference)}."
        )
    if plateau.sd is None or plateau.margin is None:
        told.append("The noise over seeds was not measured, so no plateau can be stated.")
        return told
    told.append(
        f"There the SD over seeds is {_difference(tuning, plateau.sd)} (n = {plateau.n}), so a setting that "
        f"falls short of it by less than {_difference(tuning, plateau.margin)} cannot be told from the best (95 % "
        "confidence): "
        f"{len(plateau.inside)} of {len(tuning.complete)} settings."
    )
    told += [_reached(tuning, plateau, axis) for axis in tuning.axes]
    own = next((one for one in tuning.complete if one.number == tuning.own), None)
    if own is not None and own != best:
        what = "cannot be told from the best" if own in plateau.inside else "is worse than the best"
        told.append(f"The recipe's own setting ({_show(tuning, own.value or 0.0)}) {what}.")
    return told


def _reached(tuning: Tuning, plateau: Plateau, axis: Axis) -> str:
    if axis.kind == "choice":
        names = sorted({str(one.values[axis.name]) for one in plateau.inside})
        return f"For {axis.name}, {listed(names)} cannot be told from the best." if names else ""
    parts = []
    for one in reach(tuning, plateau, axis):
        gap = ", with worse settings in between" if one.gaps else ""
        parts.append(f"{_name(one.place)} {one.low:g} to {one.high:g}"
                     f"{' (everything that was tried)' if one.whole else ''}{gap}")  # fmt: skip
    others = " (other hyper-parameters vary with it)" if len(tuning.axes) > 1 else ""
    return f"Indistinguishable from the best: {listed(parts)}{others}." if parts else ""


def _chosen(tuning: Tuning) -> list[str]:
    best = tuning.best
    assert best is not None
    words = " ".join(f"{parameter}={value}" for parameter, value in best.values.items())
    return [
        "To use it, write these into the recipe, or give them to `tutelage run`:",
        "",
        f"    {words}",
        "",
    ]


def _plateau(tuning: Tuning, plateau: Plateau) -> list[str]:
    again = tuning.again
    seeds = (
        _seeds(again.seeds) if plateau.fresh and again is not None else "the seeds of the search"
    )
    rows = [
        ["best setting", f"{tuning.best.number if tuning.best else ''}"],
        ["its validation value in the search", _show(tuning, (tuning.best.value or 0.0) if tuning.best else 0.0)],
        [f"its validation value with {seeds}", _show(tuning, plateau.reference)],
        ["noise floor: SD over seeds there", "not measured" if plateau.sd is None else
         f"{_difference(tuning, plateau.sd)} (n = {plateau.n})"],
        ["least difference that can be told from noise", "unknown" if plateau.margin is None else
         _difference(tuning, plateau.margin)],
        ["settings on the plateau", f"{len(plateau.inside)} of {len(tuning.complete)}"],
    ]  # fmt: skip
    for axis in tuning.axes:
        rows += [
            [f"plateau: {one.place}",
             f"{one.low:g} to {one.high:g}{', everything that was tried' if one.whole else ''}"
             f"{', worse settings in between' if one.gaps else ''}"]
            for one in (reach(tuning, plateau, axis) if axis.kind != "choice" else ())
        ]  # fmt: skip
        if axis.kind == "choice":
            names = sorted({str(one.values[axis.name]) for one in plateau.inside})
            rows.append([f"plateau: {axis.name}", ", ".join(names)])
    return [
        "## Noise floor and plateau",
        "",
        tabulate(rows, ["", ""], "pipe", disable_numparse=True),
        "",
    ]


def _figures(tuning: Tuning, plateau: Plateau, out: Path) -> list[str]:
    lines = []

    def keep(drawing: Drawing, caption: str) -> None:
        write(out / f"{drawing.name}.csv", drawing.data.encode())
        lines.extend([f"![{drawing.label}]({drawing.name}.png)", "", caption, ""])

    keep(
        sweep(tuning, plateau, out / "settings.png"),
        SWEPT,
    )  # fmt: skip
    for axis in tuning.axes:
        if len(axis.parts) == 3:
            name = safe("ternary-" + "-".join(axis.parts))
            also = " Where other hyper-parameters vary, the best setting of each place is shown." if len(
                tuning.axes) > 1 else ""  # fmt: skip
            keep(
                ternary(tuning, plateau, axis, out / f"{name}.png"),
                f"{HEAT}{also} Data: `{name}.csv`.",
            )
    return lines


def _settings(tuning: Tuning, plateau: Plateau | None) -> list[str]:
    parameters = list(
        dict.fromkeys(parameter for axis in tuning.axes for parameter in axis.columns)
    )
    header = ["setting", *[_name(parameter) for parameter in parameters], f"validation {METRICS[tuning.metric]}",
              "runs", "on the plateau", "how it ended", "folder"]  # fmt: skip
    rows = []
    for one in sorted(
        tuning.settings, key=lambda one: (one.value is None, -tuning.sign * (one.value or 0.0))
    ):
        inside = (
            ""
            if plateau is None or one.value is None
            else ("yes" if one in plateau.inside else "no")
        )
        rows.append([
            str(one.number), *(_shown(one.values[parameter]) for parameter in parameters),
            "" if one.value is None else _show(tuning, one.value), str(len(one.scores)), inside,
            one.reason or one.state, f"[{one.folder}](../{one.folder})",
        ])  # fmt: skip
    table = tabulate(rows, header, "pipe", disable_numparse=True)
    return ["## Settings", "", table]


def _range(axis: Axis) -> str:
    if axis.kind == "choice":
        return f"{_name(axis.name)} among {', '.join(str(value) for value in axis.values)}"
    if axis.kind == "simplex":
        least = f", each at least {axis.low:g}" if axis.low else ""
        return f"{listed([_name(parameter) for parameter in axis.columns])} as parts of one{least}"
    return f"{_name(axis.name)} from {axis.low:g} to {axis.high:g}{' (logarithmic)' if axis.log else ''}"


def _name(parameter: str) -> str:
    return parameter.removeprefix("distiller.")


def _values(tuning: Tuning, setting: Setting) -> str:
    parameters = dict.fromkeys(name for axis in tuning.axes for name in axis.columns)
    return listed([f"{_name(name)} = {_shown(setting.values[name])}" for name in parameters])


def _shown(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _show(tuning: Tuning, value: float) -> str:
    return minus(value, 3) if tuning.metric == "nll" else f"{percent(value)} %"


def _difference(tuning: Tuning, value: float) -> str:
    return (
        f"{minus(value, 3)} nats"
        if tuning.metric == "nll"
        else f"{minus(shown(tuning, value), 2)} points"
    )


def _folds(tuning: Tuning) -> str:
    return f"fold{'' if len(tuning.folds) == 1 else 's'} {listed(list(tuning.folds))}"


def _seeds(seeds: tuple[int, ...]) -> str:
    return f"seed{'' if len(seeds) == 1 else 's'} {listed([str(seed) for seed in seeds])}"


def _subjects(tuning: Tuning) -> str:
    if not tuning.subjects:
        return f" ({tuning.n_validation:,} samples)" if tuning.n_validation else ""
    who = f"subject{'' if len(tuning.subjects) == 1 else 's'} {', '.join(tuning.subjects)}"
    return f" ({who}; {tuning.n_validation:,} samples)"
