"""The answer in one sentence, and the facts that stand beside it."""

from dataclasses import dataclass

from tutelage.report.context import ReportContext
from tutelage.report.labels import labelled_words
from tutelage.report.verdicts import RULE, difference_sentence, subject_sentence
from tutelage.report.wording import human, listed, percent, plural, signed
from tutelage.runs.ledger import Experiment
from tutelage.runs.selection import evaluated
from tutelage.statistics.paired import Verdict
from tutelage.statistics.spreads import mean_of_folds
from tutelage.study.comparison import Comparison


@dataclass(frozen=True)
class Fact:
    """One number of the headline."""

    value: str
    label: str
    note: str = ""


@dataclass(frozen=True)
class VerdictOn:
    """A verdict with the population it is about."""

    about: str
    verdict: Verdict
    sentence: str


@dataclass(frozen=True)
class Headline:
    """What the page says first."""

    sentence: str
    choice: str
    claims: tuple[VerdictOn, ...]
    facts: tuple[Fact, ...]
    warnings: tuple[str, ...]
    best: str | None


def headline(context: ReportContext) -> Headline:
    """Answer the question of the experiment: is the student better with teachers than alone?"""
    experiment, best = context.experiment, context.best
    if best is None:
        sentence = "No student with teachers is complete yet, so there is nothing to compare."
        return Headline(sentence, "", (), (), _warnings(experiment), None)
    comparison = next(
        comparison for comparison in context.comparisons if comparison.student == best
    )
    return Headline(
        sentence=" ".join(
            part for part in (_labels(experiment), _sentence(comparison), _beyond(context)) if part
        ),
        choice=_choice(experiment, comparison),
        claims=_claims(comparison),
        facts=_facts(experiment, comparison),
        warnings=_warnings(experiment),
        best=best,
    )


def _sentence(comparison: Comparison) -> str:
    """The sentence of the pairs; a claim that the test subjects do not confirm says so at once."""
    names = comparison.student, comparison.baseline
    sentence = difference_sentence(comparison.difference, *names)
    claimed = comparison.verdict != "not distinguishable"
    if (
        claimed
        and comparison.subjects is not None
        and comparison.subjects.verdict != comparison.verdict
    ):
        sentence += f" {subject_sentence(comparison.subjects, *names)}"
    return sentence


def _labels(experiment: Experiment) -> str:
    """How many labels there were, where not every training sample had one."""
    said = labelled_words(experiment.of(experiment.record.baseline))
    return f"With labels for {said}:" if said else ""


def _beyond(context: ReportContext) -> str:
    """What teachers give beyond the student's own answers, where self-training was tried."""
    if context.beyond_self is None:
        return ""
    comparison = context.beyond_self
    told = difference_sentence(comparison.difference, comparison.student, comparison.baseline)
    return f"Against self-training: {told}"


def _choice(experiment: Experiment, comparison: Comparison) -> str:
    others = [
        name
        for name in experiment.students
        if name not in (comparison.student, comparison.baseline)
    ]
    if not others:
        return ""
    return (
        f"{comparison.student} is the student with the best validation accuracy; test accuracy played no "
        f"part in choosing it over {listed(list(others))}."
    )


def _claims(comparison: Comparison) -> tuple[VerdictOn, ...]:
    """The verdict and, beside it, what a bootstrap over the test subjects finds."""
    pairs = comparison.difference
    said = f"The sentence above. {RULE}"
    claims = [VerdictOn(pairs.question, pairs.verdict, said)]
    if comparison.subjects is not None:
        sentence = subject_sentence(comparison.subjects, comparison.student, comparison.baseline)
        claims.append(VerdictOn("test subjects drawn anew", comparison.subjects.verdict, sentence))
    return tuple(claims)


def _facts(experiment: Experiment, comparison: Comparison) -> tuple[Fact, ...]:
    facts = []
    for name in (comparison.baseline, comparison.student):
        values = experiment.values(name, lambda e: e.accuracy)
        if values:
            runs = f"{plural(len(values), 'run')} of {experiment.planned(name)}"
            label = f"{name}: test accuracy, %"
            facts.append(Fact(percent(mean_of_folds(values)), label, runs))
    if comparison.difference.pairs:
        note = f"mean of {plural(comparison.difference.pairs, 'matched pair')}"
        facts.append(Fact(signed(100 * comparison.difference.mean), "points of difference", note))
    network = experiment.of(comparison.student)[0].record.network
    macs = f"{human(network.macs)} multiply-adds a window" if network.macs is not None else ""
    facts.append(Fact(human(network.parameters), "parameters to deploy", macs))
    return tuple(facts)


def _warnings(experiment: Experiment) -> tuple[str, ...]:
    warnings = []
    if experiment.synthetic:
        warnings.append(
            "The data are synthetic. These numbers show that the software works; they say nothing "
            "about people, devices or methods."
        )
    if experiment.record.protocol == "legacy":
        warnings.append(
            "Protocol: legacy. The training loop saw the test split, as in much of the literature. "
            f"Tables use the {evaluated(experiment.runs)} unless they say legacy."
        )
    if experiment.holes:
        warnings.append(
            f"{plural(len(experiment.holes), 'run')} of {len(_asked(experiment))} gave no number "
            "and are missing here; see Holes. They are in no mean. The same command trains them."
        )
    return tuple(warnings)


def _asked(experiment: Experiment) -> set[tuple[str, str, int]]:
    asked = {entry.key for entry in experiment.record.runs}
    return asked | {(hole.stage, hole.fold, hole.seed) for hole in experiment.holes}
