"""What a study says first: how many differences are there, which, and of what size."""

from collections.abc import Sequence

from tutelage.report.headline import Fact, Headline, VerdictOn
from tutelage.report.study.comparison import still_different, unit_of, where_of
from tutelage.report.verdicts import RULE, contrast_sentence
from tutelage.report.wording import human, listed, percent, plural, signed
from tutelage.runs.run import Run
from tutelage.statistics.paired import Verdict
from tutelage.statistics.spreads import mean_of_folds
from tutelage.study.aggregate import Aggregation
from tutelage.study.contrasts import Contrast, StudyComparison
from tutelage.study.ledger import StudyLedger
from tutelage.study.metrics import lower_is_better, metric_of

NAMED_UP_TO = 4


def answer(
    ledger: StudyLedger, comparison: StudyComparison | None, warnings: Sequence[str] = ()
) -> Headline:
    """Say what a study found.

    Where every method is compared with the same runs, the sentence is about the method that is best on
    *validation*; where cells have baselines of their own (other data, another size), best of all would be the
    easiest cell, so the sentence counts.

    Args:
        ledger: the study.
        comparison: all that was compared; None where nothing can be.
        warnings: to stand above the answer.
    """
    told = (*_missing(ledger), *warnings)
    compared = [] if comparison is None else [one for one in comparison.single if one.compared]
    if comparison is None or not compared:
        nothing = "No two methods of this study share a fold and a seed yet, so there is nothing to compare."
        return Headline(nothing, "", (), (), told, None)
    how = Aggregation(metric=comparison.metric, split=comparison.split)
    chosen = _chosen(compared, how)
    sentence, choice = _counted(compared, comparison.against, how), ""
    if chosen is not None:
        chosen_by = (
            f"{_named(chosen)} is best on validation; {how.split} played no part in choosing it."
        )
        choice = f"{chosen_by} {sentence}" if len(compared) > 1 else ""
        sentence = contrast_sentence(chosen, how.scale, unit_of(how))
    return Headline(sentence, choice, _claims(comparison, how), _facts(ledger, chosen, how), told,
                    None if chosen is None else chosen.a)  # fmt: skip


def _named(contrast: Contrast) -> str:
    where = where_of(contrast)
    return contrast.a if where in ("all", contrast.a) else f"{contrast.a} ({where})"


def _counted(compared: Sequence[Contrast], against: str, how: Aggregation) -> str:
    """Say how many differences there are of how many, and name the largest of each kind."""
    parts = []
    kinds: tuple[Verdict, ...] = ("better", "worse")
    for verdict in kinds:
        kind = [one for one in compared if one.verdict == verdict]
        if kind:
            kind.sort(key=lambda one: -abs(one.oriented.mean))
            shown = listed([_sized(one, how) for one in kind[:NAMED_UP_TO]])
            rest = f" and {len(kind) - NAMED_UP_TO} more" if len(kind) > NAMED_UP_TO else ""
            parts.append(f"{len(kind)} {verdict} ({shown}{rest})")
    total = f"Of {plural(len(compared), 'difference')} to {against}"
    return f"{total}, after Holm's correction: {listed(parts) if parts else 'none is distinguishable'}."


def _sized(contrast: Contrast, how: Aggregation) -> str:
    digits = 1 if how.scale > 1 else 3
    return f"{_named(contrast)} by {signed(how.scale * contrast.mean, digits)}"


def _chosen(compared: Sequence[Contrast], how: Aggregation) -> Contrast | None:
    """Return the best on validation, where all are compared with the same runs."""
    others = {(other.key, other.fingerprint) for one in compared for _, other in one.runs}
    scored = [(score, one) for one in compared
              if (score := _validated([mine for mine, _ in one.runs], how)) is not None]  # fmt: skip
    if len({key for key, _ in others}) != len(others) or len(scored) != len(compared):
        return None
    return max(scored, key=lambda pair: pair[0])[1]


def _validated(runs: Sequence[Run], how: Aggregation) -> float | None:
    metric, sign = metric_of(how.metric), -1.0 if lower_is_better(how.metric) else 1.0
    values = {run.key: metric(run, "validation") for run in runs}
    known = {key: sign * value for key, value in values.items() if value is not None}
    return mean_of_folds(known) if known and len(known) == len(runs) else None


def _claims(comparison: StudyComparison, how: Aggregation) -> tuple[VerdictOn, ...]:
    over = [
        VerdictOn(
            f"{one.a}, {where_of(one)}",
            one.verdict,
            contrast_sentence(one, how.scale, unit_of(how)),
        )
        for one in comparison.over_cells
        if one.compared
    ]
    left = still_different(comparison)
    rule = f"{left} {RULE}" if left else RULE
    first = next(one for one in comparison.single if one.compared)
    return (VerdictOn(first.oriented.question, _all_in(comparison), rule), *over)


def _all_in(comparison: StudyComparison) -> Verdict:
    """The verdict that all differences share, else that of the ones that are different."""
    verdicts = {one.verdict for one in comparison.single if one.compared} - {"not distinguishable"}
    return verdicts.pop() if len(verdicts) == 1 else "not distinguishable"


def _facts(ledger: StudyLedger, chosen: Contrast | None, how: Aggregation) -> tuple[Fact, ...]:
    every = {run.fingerprint for one in ledger.experiments for run in one.runs}
    facts = [Fact(str(len(every)), "complete runs", plural(len(ledger.cells), "cell"))]
    if chosen is None:
        return tuple(facts)
    metric = metric_of(how.metric)
    for name, side in ((chosen.b, 1), (chosen.a, 0)):
        runs = [pair[side] for pair in chosen.runs]
        values = {run.key: metric(run, how.split) for run in runs}
        mean = mean_of_folds({key: value for key, value in values.items() if value is not None})
        shown = percent(mean) if how.scale > 1 else f"{mean:.3f}"
        label = f"{name}: {how.metric_title} on {how.split}{', %' if how.scale > 1 else ''}"
        facts.append(Fact(shown, label, plural(len(runs), "run")))
    network = chosen.runs[0][0].record.network
    macs = f"{human(network.macs)} multiply-adds a window" if network.macs is not None else ""
    facts.append(Fact(human(network.parameters), "parameters to deploy", macs))
    return tuple(facts)


def _missing(ledger: StudyLedger) -> tuple[str, ...]:
    if not ledger.missing:
        return ()
    asked = {entry.fingerprint for one in ledger.experiments for entry in one.record.runs}
    return (
        f"{len(ledger.missing)} of {plural(len(asked), 'run')} have no number; they are in no mean, and the "
        "section on holes says why.",
    )
