"""The sections of the page, in reading order."""

from collections.abc import Mapping

from tutelage.report import (
    details,
    explained,
    inside,
    protocols,
    setting,
    tables,
    trusted,
)
from tutelage.report.example import ExampleWindow
from tutelage.report.figures import (
    calibration,
    courses,
    curves,
    matrices,
    results,
    trust,
    window,
)
from tutelage.report.section import Figure, Section
from tutelage.report.wording import plural
from tutelage.runs.frames import curves_frame
from tutelage.runs.ledger import Experiment
from tutelage.runs.traces import Trust, recorded, trusts
from tutelage.study.comparison import Comparison, best_student, compare


def sections(experiment: Experiment, example: ExampleWindow | None) -> tuple[Section, ...]:
    """Build every section; the last one, how to read the page, is text of the template."""
    found = compare(experiment)
    return (
        _results(experiment, found),
        *protocols.sections(experiment),
        _differences(experiment, found),
        _curves(experiment),
        _confusion(experiment, found),
        _people(experiment),
        *explained.section(experiment, example),
        *_traces(experiment, example),
        _calibration(experiment),
        _window(example),
        _sizes(experiment),
        *_legacy(experiment),
        _setting(experiment),
        _holes(experiment),
        _runs(experiment),
    )


def _results(experiment: Experiment, found: tuple[Comparison, ...]) -> Section:
    return Section(
        "results",
        "Results",
        "Results",
        intro="Every number with a dotted line opens to the runs behind it.",
        tables=(tables.main_table(experiment, found), details.spread_table(experiment)),
        folded_tables=("spreads",),
        empty="" if experiment.runs else "No run is complete.",
    )


def _differences(experiment: Experiment, found: tuple[Comparison, ...]) -> Section:
    intro = (
        "Each student minus the baseline, on the folds and seeds that both have. Thick bar: these "
        "test subjects, trained again. Thin bar: new subjects. Grey dots: single pairs."
    )
    shown = [one for one in found if one.retrained.n]
    if not shown:
        empty = "No student and the baseline share a complete fold and seed."
        return Section("differences", "Paired differences", "Differences", empty=empty)
    notes: tuple[str, ...] = ()
    if len(shown) > 1:
        kept = [one.student for one in shown if one.adjusted_p < 0.05]
        names = ", ".join(kept) if kept else "none"
        notes = (
            f"{len(shown)} students are compared, and every comparison has its own 5 % chance of a "
            f"false claim. After Holm's correction for all of them, still different: {names}.",
        )
    title = "How much better than alone" if shown[0].baseline == "alone" else "Paired differences"
    figure = Figure(results.forest(shown), title, "")
    return Section(
        "differences", "Paired differences", "Differences", intro, (figure,),
        (details.difference_table(experiment, found),), notes=notes,
    )  # fmt: skip


def _curves(experiment: Experiment) -> Section:
    frame = curves_frame(experiment)
    caption = "Line: mean over folds and seeds. Band: lowest to highest run."
    loss = (
        "Training loss is the weighted total; dashed lines are its objectives, unweighted. Losses "
        "of different stages are not comparable."
    )
    drawn = (
        (curves.learning_curves(experiment, frame, "accuracy"), "Accuracy", caption, False),
        (curves.learning_curves(experiment, frame, "loss"), "Loss and objectives", loss, True),
    )
    figures = tuple(Figure(one, *rest) for one, *rest in drawn if one is not None)  # type: ignore[arg-type]
    empty = "" if figures else "No complete run has a training log."
    return Section("curves", "Learning curves", "Curves", figures=figures, empty=empty)


def _confusion(experiment: Experiment, found: tuple[Comparison, ...]) -> Section:
    best = best_student(experiment)
    stage = best or next((s for s in experiment.students if experiment.of(s)), None)
    if stage is None:
        empty = "No student is complete."
        return Section("confusion", "Confusion", "Confusion", empty=empty)
    names = experiment.class_names
    runs = experiment.of(stage)
    figures = [
        Figure(matrices.confusion(runs, names), f"{stage}, % of each true class",
               f"Sum of {plural(len(runs), 'run')}; zeros are left blank."),
    ]  # fmt: skip
    pairs = next((one.pairs for one in found if one.student == best), ())
    if pairs:
        mine, other = [a for a, _ in pairs], [b for _, b in pairs]
        figures.append(
            Figure(
                matrices.difference(mine, other, names),
                f"{stage} minus {experiment.record.baseline}, points",
                "Blue is better: more hits on the diagonal, fewer mistakes elsewhere. "
                f"{plural(len(pairs), 'matched pair')}.",
            )
        )
    return Section("confusion", "Confusion", "Confusion", figures=tuple(figures))


def _people(experiment: Experiment) -> Section:
    shown = [details.class_table(experiment)]
    subjects = details.subject_table(experiment)
    if subjects.rows:
        shown.append(subjects)
    return Section(
        "people",
        "Classes and subjects",
        "Classes",
        tables=tuple(shown) if experiment.runs else (),
        notes=() if subjects.rows or not experiment.runs else ("The data name no subjects.",),
        empty="" if experiment.runs else "No run is complete.",
    )


def _traces(experiment: Experiment, example: ExampleWindow | None) -> tuple[Section, ...]:
    """What objectives recorded while they trained; no section where they recorded nothing."""
    weighed, other = trusts(experiment), recorded(experiment)
    named = (teacher for one in weighed for teacher in one.teachers)
    look = courses.looks((*experiment.record.teachers, *named))
    found = []
    if weighed:
        intro = (
            "How much each teacher counted where the method decides it while training. Lines: mean "
            "over runs; bands: lowest to highest run. Cells: mean over runs. All on training "
            "samples: a teacher that is trusted more need not be right more often."
        )
        figures = [figure for i, one in enumerate(weighed, 1) for figure in _trust(one, look, i)]
        found.append(Section("trust", "Trust in teachers", "Trust", intro, tuple(figures)))
    found += inside.section(experiment, look, example)
    if other:
        intro = (
            "What objectives wrote down beside their losses, mean over the training samples of an "
            "epoch. Lines: mean over runs; bands: lowest to highest run."
        )
        figures = [
            Figure(courses.values(one, look, f"recorded-{i}-{one.stage}"), one.stage,
                   f"{plural(one.runs, 'run')}.")
            for i, one in enumerate(other, 1)
        ]  # fmt: skip
        found.append(
            Section("recorded", "Other recorded values", "Recorded", intro, tuple(figures))
        )
    return tuple(found)


def _trust(one: Trust, look: Mapping[str, courses.Look], number: int) -> tuple[Figure, Figure]:
    """Two figures that stand side by side where there is room; the objective tells them apart."""
    name, title = f"trust-{number}-{one.stage}", f"{one.stage}, {one.objective}"
    return (
        Figure(trust.over_epochs(one, look, name), f"{title}: over epochs",
               trusted.over_epochs(one)),
        Figure(trust.by_class(one, look, f"{name}-classes"), f"{title}: by class, last epoch",
               trusted.by_class(one)),
    )  # fmt: skip


def _calibration(experiment: Experiment) -> Section:
    best = best_student(experiment)
    stages = [name for name in (experiment.record.baseline, best) if name and experiment.of(name)]
    drawn = calibration.diagrams([(name, experiment.of(name)) for name in stages])
    if drawn is None:
        empty = "No complete student has predictions of its test samples."
        return Section("calibration", "Calibration", "Calibration", empty=empty)
    caption = (
        "Can the confidence be believed? Where bars end at the red marks it can; lower bars are "
        "overconfidence, higher bars caution. These are the test predictions of all runs together, "
        "so the ECE here is not the mean over runs of the table."
    )
    figure = Figure(drawn, "Reliability", caption)
    return Section("calibration", "Calibration", "Calibration", figures=(figure,))


def _window(example: ExampleWindow | None) -> Section:
    if example is None:
        empty = "No window was handed to the report."
        return Section("window", "One window", "Window", empty=empty)
    channel = example.channel_names[example.channel]
    who = f"subject {example.subject}, " if example.subject else ""
    caption = (
        f"{example.class_name}, {who}{example.split} split. Channels are scaled one by one; diagram "
        f"and images show {channel}, the strong line."
    )
    figure = Figure(window.example(example), "What the networks see", caption)
    return Section("window", "One window", "Window", figures=(figure,))


def _sizes(experiment: Experiment) -> Section:
    if not experiment.runs:
        return Section("sizes", "Sizes", "Sizes", empty="No run is complete.")
    figure = Figure(results.sizes(experiment), "What it costs to run", "")
    return Section("sizes", "Sizes", "Sizes", figures=(figure,),
                   tables=(tables.size_table(experiment),))  # fmt: skip


def _legacy(experiment: Experiment) -> tuple[Section, ...]:
    table = details.legacy_table(experiment)
    if table is None:
        return ()
    figure = Figure(results.legacy_gap(table), "What choosing the epoch on the test split adds", "")
    return (Section("legacy", "Honest and legacy", "Legacy", figures=(figure,), tables=(table,)),)


def _setting(experiment: Experiment) -> Section:
    splits = setting.split_table(experiment)
    return Section(
        "setting",
        "What was run",
        "Setting",
        facts=setting.facts(experiment),
        tables=(splits,) if splits.rows else (),
        recipe=setting.recipe_text(experiment),
    )


def _holes(experiment: Experiment) -> Section:
    table = details.hole_table(experiment)
    return Section(
        "holes",
        "Holes and findings",
        "Holes",
        tables=(table,) if table.rows else (),
        notes=experiment.findings,
        empty="" if table.rows or experiment.findings
        else "None: every run that was asked for is complete and nothing looked odd.",
    )  # fmt: skip


def _runs(experiment: Experiment) -> Section:
    return Section(
        "runs",
        "Every run",
        "Runs",
        tables=(details.run_table(experiment),) if experiment.runs else (),
        folded_tables=("runs",),
        empty="" if experiment.runs else "No run is complete.",
    )
