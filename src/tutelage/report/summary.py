"""The answer in one sentence, and the facts that stand beside it."""

from dataclasses import dataclass

from tutelage.report.wording import (
    human,
    listed,
    percent,
    plural,
    signed,
)
from tutelage.runs.ledger import Experiment
from tutelage.statistics.paired import Verdict
from tutelage.statistics.spreads import mean_of_folds
from tutelage.study.comparison import Comparison, best_student, compare


@dataclass(frozen=True)
class Fact:
    """One number of the headline."""

    value: str
    label: str
    note: str = ""


@dataclass(frozen=True)
class Claim:
    """A verdict with the population it is about."""

    about: str
    verdict: Verdict
    sentence: str


@dataclass(frozen=True)
class Summary:
    """What the page says first."""

    sentence: str
    choice: str
    claims: tuple[Claim, ...]
    facts: tuple[Fact, ...]
    warnings: tuple[str, ...]
    best: str | None


def summary(experiment: Experiment) -> Summary:
    """Answer the question of the experiment: is the student better with teachers than alone?"""
    best = best_student(experiment)
    found = {one.student: one for one in compare(experiment)}
    if best is None:
        sentence = "No student with teachers is complete yet, so there is nothing to compare."
        return Summary(sentence, "", (), (), _warnings(experiment), None)
    one = found[best]
    return Summary(
        sentence=_headline(one),
        choice=_choice(experiment, one),
        claims=_claims(one),
        facts=_facts(experiment, one),
        warnings=_warnings(experiment),
        best=best,
    )


def _headline(one: Comparison) -> str:
    """The sentence of the pairs; a claim that does not hold for new subjects says so at once."""
    sentence = one.retrained.sentence(one.student, one.baseline)
    claimed = one.retrained.verdict != "not distinguishable"
    if claimed and one.subjects is not None and one.subjects.verdict != one.retrained.verdict:
        sentence += f" {one.subjects.sentence(one.student, one.baseline)}"
    return sentence


def _choice(experiment: Experiment, one: Comparison) -> str:
    others = [name for name in experiment.students if name not in (one.student, one.baseline)]
    if not others:
        return ""
    return (
        f"{one.student} is the student with the best validation accuracy; test accuracy played no "
        f"part in choosing it over {listed(list(others))}."
    )


def _claims(one: Comparison) -> tuple[Claim, ...]:
    a, b, pairs = one.student, one.baseline, one.retrained
    same = "The sentence above: what to expect when the same splits are trained with other seeds."
    claims = [Claim("these test subjects", pairs.verdict, same)]
    if one.subjects is not None:
        sentence = one.subjects.sentence(a, b)
        claims.append(Claim("new subjects", one.subjects.verdict, sentence))
    if one.corrected is not None:
        about = "folds that share training data"
        claims.append(Claim(about, one.corrected.verdict, one.corrected.sentence(a, b)))
    return tuple(claims)


def _facts(experiment: Experiment, one: Comparison) -> tuple[Fact, ...]:
    facts = []
    for name in (one.baseline, one.student):
        values = experiment.values(name, lambda e: e.accuracy)
        if values:
            runs = f"{plural(len(values), 'run')} of {experiment.planned(name)}"
            label = f"{name}: test accuracy, %"
            facts.append(Fact(percent(mean_of_folds(values)), label, runs))
    if one.retrained.n:
        note = f"mean of {plural(one.retrained.n, 'matched pair')}"
        facts.append(Fact(signed(100 * one.retrained.mean), "points of difference", note))
    network = experiment.of(one.student)[0].record.network
    macs = f"{human(network.macs)} multiply-adds a window" if network.macs is not None else ""
    facts.append(Fact(human(network.parameters), "parameters to deploy", macs))
    return tuple(facts)


def _warnings(experiment: Experiment) -> tuple[str, ...]:
    found = []
    if experiment.synthetic:
        found.append(
            "The data are synthetic. These numbers show that the software works; they say nothing "
            "about people, devices or methods."
        )
    if experiment.record.protocol == "legacy":
        found.append(
            "Protocol: legacy. The training loop saw the test split, as in much of the literature. "
            "Tables use the epoch chosen on validation unless they say legacy."
        )
    if experiment.holes:
        found.append(
            f"{plural(len(experiment.holes), 'run')} of {len(_asked(experiment))} gave no number; "
            "see Holes. They are in no mean."
        )
    return tuple(found)


def _asked(experiment: Experiment) -> set[tuple[str, str, int]]:
    asked = {entry.key for entry in experiment.record.runs}
    return asked | {(hole.stage, hole.fold, hole.seed) for hole in experiment.holes}
