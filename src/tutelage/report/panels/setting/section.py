"""What was run: data, splits, stages, machine."""

from collections import Counter
from collections.abc import Sequence

import yaml

from tutelage.report.context import ReportContext
from tutelage.report.labels import labelled_words
from tutelage.report.section import Section
from tutelage.report.table import Row, Table, TableCell, left
from tutelage.report.wording import modality, plural
from tutelage.runs.ledger import Experiment


def section(context: ReportContext) -> Section:
    """Build the section."""
    experiment = context.experiment
    splits = split_table(experiment)
    return Section(
        "setting",
        "What was run",
        "Setting",
        facts=facts(experiment),
        tables=(splits,) if splits.rows else (),
        recipe=recipe_text(experiment),
    )


def facts(experiment: Experiment) -> tuple[tuple[str, str], ...]:
    """Pairs of a name and a plain value; what the record does not say is left out."""
    record, runs = experiment.record, experiment.runs
    data = runs[0].record.data if runs else None
    name = str(record.data.get("name") or (data.name if data else "unknown"))
    pairs = [("data", name + (" (synthetic)" if experiment.synthetic else ""))]
    prints = dict.fromkeys(run.record.data.fingerprint[:10] for run in runs)
    pairs.append(("data fingerprint", ", ".join(prints)))
    if data is not None:
        pairs.append((plural(len(data.class_names), "class"), ", ".join(data.class_names)))
        modalities = dict.fromkeys(_shape(run.record.data.modality, run.record.data.input_shape)
                                   for run in runs)  # fmt: skip
        pairs.append(("inputs", "; ".join(modalities)))
    pairs.append(("labels", _labels(experiment)))
    legacy = "legacy (best epoch on test shown beside it)"
    honest = "honest: every choice made on validation, test read once"
    pairs.append(("protocol", legacy if record.protocol == "legacy" else honest))
    seeds = sorted({entry.seed for entry in record.runs})
    pairs.append(("folds × seeds", f"{len(experiment.folds)} × {len(seeds)} "
                  f"(seeds {', '.join(map(str, seeds))})"))  # fmt: skip
    pairs.append(("runs", f"{len(runs)} complete, {len(experiment.holes)} without a number"))
    pairs.append(("recipe", record.recipe or ""))
    pairs += _machine(experiment)
    return tuple((key, value) for key, value in pairs if value)


def _labels(experiment: Experiment) -> str:
    """How many labels there were, and what the others were used for, where not every sample had one."""
    said = labelled_words([r for r in experiment.runs if r.stage == experiment.record.baseline])
    if not said:
        return ""
    return f"{said}; the others standardise inputs and fit modalities, and are shown to stages with teachers"


def _shape(name: str, shape: Sequence[int]) -> str:
    return f"{modality(name)} {' × '.join(map(str, shape))}".strip()


def _machine(experiment: Experiment) -> list[tuple[str, str]]:
    runs = experiment.runs
    pairs = []
    for key in ("python", "torch", "platform", "processor", "threads", "precision", "layout",
                "processes", "stacked"):  # fmt: skip
        values = [str(run.record.environment[key]) for run in runs if key in run.record.environment]
        pairs.append((key, _counted(values)))
    code = [
        f"{run.record.code.get('version', '?')}, commit {run.record.code.get('commit') or 'unknown'}"
        + (" with uncommitted changes" if run.record.code.get("dirty") else "")
        for run in runs
    ]
    pairs.append(("code", _counted(code)))
    seconds = sum(run.record.seconds or 0 for run in runs)
    pairs.append(("training time", _duration(seconds) + " over all complete runs" if runs else ""))
    return pairs


def _counted(values: Sequence[str]) -> str:
    counts = Counter(values)
    if len(counts) <= 1:
        return next(iter(counts), "")
    return "; ".join(f"{value} ({plural(n, 'run')})" for value, n in counts.most_common())


def _duration(seconds: float) -> str:
    hours, minutes = divmod(round(seconds / 60), 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min" if minutes else f"{seconds:.0f} s"


def split_table(experiment: Experiment) -> Table:
    """Who trained, who validated, who was tested, by fold."""
    columns = (left("fold"), left("train", "training"), left("validation"), left("test"))
    rows = []
    for fold in experiment.folds:
        data = next((run.record.data for run in experiment.runs if run.fold == fold), None)
        if data is not None:
            parts = (
                _part(data.n_train, data.train_subjects),
                _part(data.n_validation, data.validation_subjects),
                _part(data.n_test, data.test_subjects),
            )
            rows.append(Row((TableCell(experiment.fold_names[fold], fold), *parts)))
    caption = "Samples of each fold, and whose they are. No subject is on two sides."
    return Table("splits", _honest(experiment, caption), columns, tuple(rows))


def _honest(experiment: Experiment, caption: str) -> str:
    for run in experiment.runs:
        data = run.record.data
        sides = [set(data.train_subjects), set(data.validation_subjects), set(data.test_subjects)]
        if sum(map(len, sides)) != len(set.union(*sides)):
            return "Samples of each fold, and whose they are. A subject is on more than one side!"
        if not any(sides):
            return "Samples of each fold. The data name no subjects."
    return caption


def _part(n: int, subjects: Sequence[str]) -> TableCell:
    who = f"{plural(len(subjects), 'subject')}: {', '.join(subjects)}" if subjects else ""
    return TableCell(f"{n:,}".replace(",", "\u202f"), n, sub=who)


def recipe_text(experiment: Experiment) -> str:
    """The resolved recipe as YAML."""
    resolved = experiment.record.resolved
    return "" if resolved is None else yaml.safe_dump(resolved, sort_keys=False, allow_unicode=True)
