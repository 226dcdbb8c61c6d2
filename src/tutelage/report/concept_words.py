"""What concepts did, in words: every number is one of the run folder, or computed from those beside it."""

from collections.abc import Sequence

import numpy as np

from tutelage.report.figures.places import Axis
from tutelage.report.wording import (
    listed,
    percent,
    plural,
    short,
    signed,
    significant,
    tiny,
)
from tutelage.runs.concepts import (
    Account,
    Explained,
    Part,
    probabilities,
    unnamed,
)
from tutelage.runs.explanations import Explanations
from tutelage.statistics.paired import minus
from tutelage.statistics.spreads import mean_of_folds

EXACT = 1e-3
"""Differences up to this part of the largest score are rounding."""
ALIKE = 0.01
"""Areas that differ by less are called equal."""
COUNTS = 0.25
"""A concept against the prediction is told if it moved it at least this part of what the strongest for it did."""
HALF = 0.5
"""Of less that lies where concepts are annotated, the caption says where the rest went."""


def where(part: Part, shape: Sequence[int], axis: Axis) -> str:
    """Say where a concept moved the prediction most.

    Args:
        part: what it did.
        shape: of the input, (channels, ...).
        axis: rate of a signal.
    """
    space = part.space
    if len(part.moved) == 1:
        return "the whole input"
    if len(space) == 1:
        ends = [shape[-1] * (part.place + i) / space[0] for i in (0, 1)]
        if axis.rate:
            return f"{ends[0] / axis.rate:.2f} to {ends[1] / axis.rate:.2f} s"
        return f"samples {round(ends[0])} to {round(ends[1]) - 1}"
    at = [int(i) + 1 for i in np.unravel_index(part.place, space)]
    return f"row {at[0]}, column {at[1]}" if len(at) == 2 else f"place {at}"


def sample(
    account: Account, classes: Sequence[str], shape: Sequence[int], axis: Axis
) -> tuple[str, ...]:
    """Say what was predicted, which concept did most for it and which against, and what is left without them."""
    first, rival = classes[account.first], classes[account.rival]
    p = probabilities(account.logits)
    mine, other = percent(p[account.first], 0), percent(p[account.rival], 0)
    said = (
        f"Predicted: {first}, {mine} %, which is right. Next: {rival}, {other} %."
        if account.right
        else f"Predicted: {first}, {mine} %, which is wrong. True: {rival}, {other} %."
    )
    strongest = max(account.parts, key=lambda part: part.total)
    against = min(account.parts, key=lambda part: part.total)
    told = [said]
    if strongest.total > 0:
        told.append(_for(account, strongest, classes, shape, axis))
    if against.total < 0 and -against.total >= COUNTS * strongest.total:
        told.append(_against(account, against, classes))
    return tuple(told)


def _for(
    account: Account, part: Part, classes: Sequence[str], shape: Sequence[int], axis: Axis
) -> str:
    first, rival = classes[account.first], classes[account.rival]
    added = f"{signed(part.added[0], 2)} to the score of {first}, {signed(part.added[1], 2)} to that of {rival}"
    place = "" if len(part.moved) == 1 else (
        f", most at {where(part, shape, axis)} ({percent(part.share, 0)} % of what it moved that way)"
    )  # fmt: skip
    return (
        f"“{part.label}” did most for that, by {minus(part.total, 2)}: {added}{place}. "
        f"{_annotated(part)}{_without(account, part, classes)}"
    )


def _annotated(part: Part) -> str:
    """Say whether the data annotate the concept where it did that."""
    if part.present is None:
        return ""
    if not part.present:
        return "The data annotate none here. "
    if part.agreed is None:
        return "The data annotate it here. "
    return f"{percent(part.agreed, 0)} % of that lies where the data annotate it. "


def _against(account: Account, part: Part, classes: Sequence[str]) -> str:
    return (
        f"“{part.label}” spoke against it most, by {minus(-part.total, 2)}. {_annotated(part)}"
        f"{_without(account, part, classes)}"
    )


def _without(account: Account, part: Part, classes: Sequence[str]) -> str:
    before = probabilities(account.logits)[account.first]
    after = probabilities(part.without)[account.first]
    change = "falls" if after < before else "rises"
    moved = (
        f"its probability stays at {percent(before, 0)} %" if percent(before, 0) == percent(after, 0)
        else f"its probability {change} from {percent(before, 0)} to {percent(after, 0)} %"
    )  # fmt: skip
    now = int(part.without.argmax())
    then = "the prediction stays" if now == account.first else f"{classes[now]} is predicted"
    return f"Without it, computed anew, {moved}, and {then}."


def checked(accounts: Sequence[Account]) -> str:
    """Say whether the parts sum up to the scores, and whether each score fell by what a concept claims."""
    largest = max(1.0, *(float(np.abs(one.scores).max()) for one in accounts))
    gap, broken = (max(getattr(one, name) for one in accounts) for name in ("gap", "broken"))
    fits = (
        f"The rows sum up to the scores (largest error {tiny(gap)})" if gap <= EXACT * largest
        else f"The rows do NOT sum up to the scores: they are off by up to {significant(gap)}"
    )  # fmt: skip
    holds = (
        f"and without a concept a score falls by what the concept adds (largest error {tiny(broken)})."
        if broken <= EXACT * largest
        else "and without a concept a score does NOT fall by what it claims to add: it is off by up to "
        f"{significant(broken)}."
    )
    return f"{fits}, {holds}"


def which(told: Explanations, fold: str, seed: int) -> str:
    """Say which run is shown, and how its samples were chosen."""
    chance = (
        f" The network draws at random when it predicts: its scores here and in its evaluation differ by up to "
        f"{significant(told.redrawn)}." if told.redrawn else ""
    )  # fmt: skip
    return (
        f"One run: {fold}, seed {seed}, the first that explains itself, as it is deployed. "
        f"{plural(len(told.index), 'validation sample')}: of each class the first that are right, and the first "
        f"that is not, if there is one.{chance}"
    )


def meaning(found: Explained) -> str:
    """Say what is known of whether concepts mean what their names say."""
    streams = found.told.found.streams
    known = {name: found.values(f"concept_accuracy.{name}") for name in streams}
    told = [f"{percent(mean_of_folds(values))} %{f' of {name}' if len(streams) > 1 else ''}"
            for name, values in known.items() if values]  # fmt: skip
    parts = []
    if told:
        parts.append(
            f"Where concepts are annotated, the one that is attended to most is right: {listed(told)}."
        )
    grounded = found.told.grounded
    if grounded is not None:
        most = "; most of it goes through concepts where they are not annotated"
        mostly = most if grounded < HALF else ""
        parts.append(
            f"Of what concepts moved in these samples {percent(grounded, 0)} % lies at places where the data "
            f"annotate them{mostly}."
        )
    nameless = [name for name, stream in streams.items() if unnamed(stream)]
    if nameless:
        whose = f" of {listed(nameless)}" if len(streams) > 1 else ""
        parts.append(f"Nobody named the concepts{whose}: concept 1 of another run is another one.")
    silent = [name for name in streams if not known[name] and name not in nameless]
    if silent:
        whose = f" of {listed(silent)}" if len(streams) > 1 else ""
        parts.append(
            f"Whether the concepts{whose} are what their names say is not measured: the data do not annotate them."
        )
    return " ".join(parts)


MEASURES = {
    "deletion": ("places taken away", "lower is better", "falls"),
    "concept_deletion": ("concepts taken away", "lower is better", "falls"),
    "insertion": ("places put in", "higher is better", "rises"),
    "concept_insertion": ("concepts put in", "higher is better", "rises"),
}
"""Measure -> what is done, what is good, and what the probability does then."""


def areas(found: Sequence[Explained]) -> list[str]:
    """Say, measure by measure, in which networks the order of contributions is better than chance."""
    return [text for measure in MEASURES if (text := _beyond_chance(measure, found))]


def _beyond_chance(measure: str, found: Sequence[Explained]) -> str:
    done, good, verb = MEASURES[measure]
    faster: list[str] = []
    others: list[str] = []
    for one in found:
        own, chance = (one.values(f"{measure}.{name}") for name in ("contribution", "random"))
        if own and chance:
            gain = mean_of_folds(own) - mean_of_folds(chance)
            better = (-gain if good.startswith("lower") else gain) > ALIKE
            (faster if better else others).append(short(one.stage, 40))
    if not faster and not others:
        return ""
    verdict = (
        f"faster than in random order in {listed(faster)}{f', not in {listed(others)}' if others else ''}"
        if faster
        else f"no faster than in random order in {listed(others)}"
    )
    return f"{done.capitalize()}: the probability {verb} {verdict}."
