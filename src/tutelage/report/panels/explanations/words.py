"""What concepts did, in words: every number is one of the run folder, or computed from those beside it."""

from collections.abc import Sequence

import numpy as np

from tutelage.report.drawing.sheet import SignalAxis
from tutelage.report.panels.explanations.accounts import Account, ConceptPart, probabilities
from tutelage.report.panels.explanations.data import ExplainedStage, unnamed
from tutelage.report.wording import listed, minus, percent, plural, short, signed, significant, tiny
from tutelage.runs.explanations import Explanations, StoredStream
from tutelage.statistics.spreads import mean_of_folds

EXACT = 1e-3
"""Differences up to this part of the largest score are rounding."""
COUNTS = 0.25
"""A concept against the prediction is told if it moved it at least this part of what the strongest for it did."""
HALF = 0.5
"""Of less that lies where concepts are annotated, the caption says where the rest went."""


def where(part: ConceptPart, shape: Sequence[int], axis: SignalAxis) -> str:
    """Say where a concept moved the prediction most.

    Args:
        part: what it did.
        shape: of the input, (channels, ...).
        axis: rate of a signal.
    """
    space = part.space
    if not part.placed:
        return "the whole input"
    if part.even:
        return "spread evenly"
    if len(space) == 1:
        ends = [shape[-1] * (part.strongest + i) / space[0] for i in (0, 1)]
        if axis.rate:
            return f"{ends[0] / axis.rate:.2f} to {ends[1] / axis.rate:.2f} s"
        return f"samples {round(ends[0])} to {round(ends[1]) - 1}"
    at = [int(i) + 1 for i in np.unravel_index(part.strongest, space)]
    return f"row {at[0]}, column {at[1]}" if len(at) == 2 else f"place {at}"


def sample(
    account: Account, classes: Sequence[str], shape: Sequence[int], axis: SignalAxis
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
    account: Account,
    part: ConceptPart,
    classes: Sequence[str],
    shape: Sequence[int],
    axis: SignalAxis,
) -> str:
    first, rival = classes[account.first], classes[account.rival]
    added = f"{signed(part.added[0], 2)} to the score of {first}, {signed(part.added[1], 2)} to that of {rival}"
    share = f"{percent(part.share, 0)} % of what it moved that way"
    spread = f", most at {where(part, shape, axis)} ({share})"
    if part.even:
        spread = f", spread evenly over {len(part.moved)} places (at most {share} at one of them)"
    return (
        f"“{part.label}” did most for that, by {minus(part.total, 2)}: {added}{spread if part.placed else ''}. "
        f"{_annotated(part)}{_without(account, part, classes)}"
    )


def _annotated(part: ConceptPart) -> str:
    """Say whether the data annotate the concept where it did that."""
    if part.present is None:
        return ""
    if not part.present:
        return "The data annotate none here. "
    if part.agreed is None:
        return "The data annotate it here. "
    return f"{percent(part.agreed, 0)} % of that lies where the data annotate it. "


def _against(account: Account, part: ConceptPart, classes: Sequence[str]) -> str:
    return (
        f"“{part.label}” spoke against it most, by {minus(-part.total, 2)}. {_annotated(part)}"
        f"{_without(account, part, classes)}"
    )


def _without(account: Account, part: ConceptPart, classes: Sequence[str]) -> str:
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
    largest = max(1.0, *(float(np.abs(account.scores).max()) for account in accounts))
    gap, broken = (
        max(account.gap for account in accounts),
        max(account.broken for account in accounts),
    )
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


def seen(account: Account, axes: int) -> str:
    """Say what bars and maps show."""
    grids = {part.space for part in account.parts if part.placed}
    if not grids:
        return "Bars: what each concept added to the score of the prediction, minus what it added to its rival's."
    size = " and ".join(" × ".join(map(str, grid)) for grid in sorted(grids))
    return (
        "Bars: what each concept added to the score of the prediction, minus what it added to its rival's; "
        f"{'maps' if axes == 3 else 'strips'}: the same place by place, {size} places, on one scale. A place sees "
        "more of the input than its own cell: receptive fields reach further."
        + (
            " Outlined: where the data annotate the concept."
            if any(part.marked is not None for part in account.parts)
            else ""
        )
    )


def bright(stream: StoredStream) -> str:
    """Say what the colours of a gallery mean."""
    if stream.heat is None:
        return ""
    scale = "the share of attention, on one scale for all places and concepts of a sample"
    if len(stream.space) == 1:
        return f" Dark: where it is, {scale}."
    return f" Bright: where it is, {scale}; its lower half is left out."


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


def meaning(stage: ExplainedStage) -> str:
    """Say what is known of whether concepts mean what their names say."""
    streams = stage.first.explanations.streams
    known = {name: stage.values(f"concept_accuracy.{name}") for name in streams}
    told = [f"{percent(mean_of_folds(values))} %{f' of {name}' if len(streams) > 1 else ''}"
            for name, values in known.items() if values]  # fmt: skip
    parts = []
    if told:
        parts.append(
            f"Where concepts are annotated, the one that is attended to most is right: {listed(told)}."
        )
    grounded = stage.first.grounded
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


MAPS = {
    "unexplained": ("infidelity: change not told, %", "lower is better"),
    "max_sensitivity": ("largest sensitivity", "lower is steadier"),
    "sparseness": ("sparseness (Gini)", "higher is on fewer places"),
}
"""Measure of maps of places -> what it is, and what a high or low one says."""


def areas(stages: Sequence[ExplainedStage]) -> list[str]:
    """Say, measure by measure, in which networks the order of contributions is better than chance."""
    return [text for measure in MEASURES if (text := _beyond_chance(measure, stages))]


def _beyond_chance(measure: str, stages: Sequence[ExplainedStage]) -> str:
    done, _, verb = MEASURES[measure]
    faster: list[str] = []
    others: list[str] = []
    untold: list[str] = []
    for stage in stages:
        gain = stage.gain(measure)
        if gain is not None:
            interval = gain.interval
            names = untold if interval is None else faster if interval.low > 0 else others
            names.append(short(stage.name, 40))
    parts = [f"faster than in random order in {listed(faster)}"] if faster else []
    if others:
        how = "not" if faster else "no faster than in random order"
        parts.append(f"{how} in {listed(others)}")
    said = [f"the probability {verb} {', '.join(parts)}"] if parts else []
    if untold:
        said.append(f"one random order in so few runs cannot tell for {listed(untold)}")
    return f"{done.capitalize()}: {'; '.join(said)}." if said else ""


def findings(stages: Sequence[ExplainedStage]) -> tuple[str, ...]:
    """Say of which networks the concepts that are attended to are right no more often than by chance."""
    said = []
    for stage in stages:
        for stream in stage.first.explanations.streams:
            chance = stage.by_chance(stream)
            if chance is not None:
                right = mean_of_folds(stage.values(f"concept_accuracy.{stream}"))
                said.append(
                    f"{stage.name}: the {stream} concept that is attended to most is an annotated one in "
                    f"{percent(right)} % of all cases; by chance it would be in {percent(chance)} %. The names of "
                    "these concepts say nothing about what the network looks at."
                )
    return tuple(said)
