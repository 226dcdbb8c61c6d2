"""Are concepts true, and does the encoder mean what they say? People are asked by a table, which comes back."""

import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from tutelage.concepts.clean import Cleaned, Dropped
from tutelage.concepts.concept import ConceptSet
from tutelage.concepts.files import rows_of
from tutelage.errors import UserError, unknown, within
from tutelage.files import replacing
from tutelage.inert import cell_text, csv_text

Kind = Literal["factuality", "groundability"]

COLUMNS = ("question", "concept", "class", "sample", "rater", "answer")
_YES, _NO, _UNSURE = ("yes", "y", "1", "true"), ("no", "n", "0", "false"), ("", "?", "unsure")


@dataclass(frozen=True)
class Question:
    """Does this phrase hold of this sample?

    Args:
        kind: ``factuality``: the sample is of a class that owns the concept. ``groundability``: the sample is
            one that the encoder scores highest for the concept.
        concept: the phrase.
        class_name: the owner; empty for groundability, where the rater should not know it.
        sample: what is shown: a file name, a link, a sample id.
    """

    kind: Kind
    concept: str
    class_name: str
    sample: str


@dataclass(frozen=True)
class Rating:
    """One person's answer; None where the person could not tell."""

    question: Question
    rater: str
    answer: bool | None


@dataclass(frozen=True)
class ConceptRating:
    """What people say about one concept.

    Args:
        concept: the phrase.
        class_name: the owner; empty for groundability.
        share: mean over samples of the share of raters who said yes.
        answers: how many answers said yes or no.
    """

    concept: str
    class_name: str
    share: float
    answers: int


@dataclass(frozen=True)
class RatingSummary:
    """One of the two averages.

    Args:
        kind: which.
        mean: mean share over concepts (of each class), NaN without answers.
        spread: standard deviation of the shares over concepts (n - 1), NaN below two.
        scores: one for each concept and class, the lowest share first.
        raters: how many people answered.
        agreement: Krippendorff's alpha over raters, NaN where no sample has two answers: 1 is full agreement,
            0 is chance.
        same: share of pairs of answers to one question that are equal, NaN as above.
    """

    kind: Kind
    mean: float
    spread: float
    scores: tuple[ConceptRating, ...]
    raters: int
    agreement: float
    same: float


def questions(
    concepts: ConceptSet,
    shown: Mapping[str, Sequence[str]] | None = None,
    top: Mapping[str, Sequence[str]] | None = None,
    *,
    seed: int = 0,
) -> list[Question]:
    """Return the questions to people, in a random order that does not give away what belongs together.

    Args:
        concepts: the concepts; take the ones with the largest weight of each class first, nobody rates 500.
        shown: class -> samples of that class, for factuality. They should be drawn at random, not picked.
        top: concept -> the samples that the encoder scores highest, for groundability.
        seed: of the order.

    Raises:
        UserError: a class or a concept that is not in the set, or nothing to show.
    """
    found: list[Question] = []
    for class_name, samples in (shown or {}).items():
        for number in concepts.of(class_name):
            text = concepts.texts[number]
            found += [Question("factuality", text, class_name, sample) for sample in samples]
    for text, samples in (top or {}).items():
        concepts.number(text)
        found += [Question("groundability", text, "", sample) for sample in samples]
    if not found:
        raise UserError("questions: found no samples to show, neither by class nor by concept")
    found = list(dict.fromkeys(found))
    random.Random(seed).shuffle(found)
    return found


def write_questions(asked: Iterable[Question], path: Path) -> None:
    """Write questions to a .csv: each rater gets a copy, fills ``rater`` and ``answer`` (yes, no, ? if unsure)."""
    rows = ((each.kind, each.concept, each.class_name, each.sample, "", "") for each in asked)
    with replacing(path) as unfinished:  # spreadsheets take it for UTF-8 only with its mark
        unfinished.write_text(csv_text(COLUMNS, rows), encoding="utf-8-sig")


def read_ratings(paths: Sequence[Path]) -> list[Rating]:
    """Return the answers in one or more files; a file without a ``rater`` is one rater, named as the file.

    Raises:
        UserError: a missing column, an answer that is none, or a rater who answered a question twice.
    """
    found: dict[tuple[Question, str], Rating] = {}
    for path in paths:
        for number, row in enumerate(rows_of(path, COLUMNS), 1):
            place = f"{path}: question {number}"
            rating = _rating(row, path, place)
            if (rating.question, rating.rater) in found:
                raise UserError(
                    f"{place}: {rating.rater!r} answers the same question twice, allowed is once"
                )
            found[rating.question, rating.rater] = rating
    return list(found.values())


def summarise(ratings: Sequence[Rating]) -> tuple[RatingSummary, ...]:
    """Return the average of each kind that somebody answered, with agreement."""
    return tuple(
        _summary(kind, [one for one in ratings if one.question.kind == kind])
        for kind in get_args(Kind)
        if any(one.question.kind == kind and one.answer is not None for one in ratings)
    )


def well_rated(concepts: ConceptSet, ratings: Sequence[Rating], least: float = 0.5) -> Cleaned:
    """Return the concepts that people say hold; what nobody rated stays.

    Args:
        concepts: the set that was asked about.
        ratings: answers.
        least: smallest mean share of yes. Below it a class loses a concept that does not hold of its samples
            (factuality), and every class one that does not hold where the encoder says so (groundability).

    Raises:
        ValueError: a share outside [0, 1].
    """
    within("[0, 1]", least=least)
    poor: set[tuple[str, str]] = set()
    for summary in summarise(ratings):
        poor |= {(one.concept, one.class_name) for one in summary.scores if one.share < least}
    kept, dropped = [], []
    for one in concepts.concepts:
        lost = one.owners if (one.text, "") in poor else ()
        left = tuple(
            name for name in one.owners if name not in lost and (one.text, name) not in poor
        )
        if left:
            origins = tuple(origin for origin in one.origins if origin.class_name in left)
            kept.append(replace(one, owners=left, origins=origins))
        else:
            reason = (
                "does not hold where the encoder says so" if lost else "does not hold of its class"
            )
            dropped.append(Dropped(one.text, one.owners, reason))
    return Cleaned(replace(concepts, concepts=tuple(kept)), tuple(dropped), 0)


def krippendorff(units: Iterable[Sequence[bool]]) -> float:
    """Return Krippendorff's alpha for nominal answers; units may have any number of answers.

    Args:
        units: the answers to each question; those with fewer than two say nothing about agreement.

    Returns:
        1 for full agreement, 0 for that of chance; NaN if no unit has two answers, or all are the same.

    Source:
        Krippendorff 2011, Computing Krippendorff's Alpha-Reliability, section C.
    """
    coincidences = np.zeros((2, 2))
    for unit in units:
        yes, no = sum(unit), len(unit) - sum(unit)
        if len(unit) >= 2:
            pairs = [[no * (no - 1), no * yes], [no * yes, yes * (yes - 1)]]
            coincidences += np.array(pairs) / (len(unit) - 1)
    totals = coincidences.sum(axis=1)
    expected = totals[0] * totals[1]
    if expected == 0:
        return float("nan")
    return float(1 - (totals.sum() - 1) * coincidences[0, 1] / expected)


def _summary(kind: Kind, ratings: Sequence[Rating]) -> RatingSummary:
    units: dict[Question, list[bool]] = defaultdict(list)
    for one in ratings:
        if one.answer is not None:
            units[one.question].append(one.answer)
    shares: dict[tuple[str, str], list[float]] = defaultdict(list)
    counts: Counter[tuple[str, str]] = Counter()
    for question, answers in units.items():
        name = (question.concept, question.class_name)
        shares[name].append(sum(answers) / len(answers))
        counts[name] += len(answers)
    scores = [
        ConceptRating(*name, float(np.mean(share)), counts[name]) for name, share in shares.items()
    ]
    values = [score.share for score in scores]
    pairs = sum(len(unit) * (len(unit) - 1) for unit in units.values())
    equal = sum(
        sum(unit) * (sum(unit) - 1) + (len(unit) - sum(unit)) * (len(unit) - sum(unit) - 1)
        for unit in units.values()
    )
    return RatingSummary(
        kind=kind,
        mean=float(np.mean(values)),
        spread=float(np.std(values, ddof=1)) if len(values) > 1 else float("nan"),
        scores=tuple(sorted(scores, key=lambda one: (one.share, one.class_name, one.concept))),
        raters=len({one.rater for one in ratings if one.answer is not None}),
        agreement=krippendorff(units.values()),
        same=equal / pairs if pairs else float("nan"),
    )


def _rating(row: Mapping[str, str], path: Path, place: str) -> Rating:
    kind = row["question"].strip()
    if kind not in get_args(Kind):
        raise unknown(place, "question", kind, get_args(Kind))
    answer = row["answer"].strip().lower()
    if answer not in (*_YES, *_NO, *_UNSURE):
        raise UserError(f"{place}: answer: found {answer!r}, allowed are yes, no, and ? or nothing")
    question = Question(
        "factuality" if kind == "factuality" else "groundability",
        cell_text(row["concept"]),
        cell_text(row["class"]),
        cell_text(row["sample"]),
    )
    known = None if answer in _UNSURE else answer in _YES
    return Rating(question, row["rater"].strip() or path.stem, known)
