"""Persistence of a sampled line as indices of samples, for gradients; values: ``_line``."""

from math import inf

from tutelage.modalities.topology.kernel import Array, Float, kernel


@kernel
def turning_indices(line: Array, turns: Array) -> int:
    """Find where a line turns: minimum, maximum, ..., minimum; the first sample of a plateau.

    The same turns as :func:`tutelage.modalities.topology.line.turning_points` keeps.

    Args:
        line: samples, [L], L >= 1.
        turns: receives the indices, at least [L + 1].

    Returns:
        Their number, odd.
    """
    count = 0
    rising = False
    begin = 0
    here = line[0]
    for i in range(1, line.size):
        after = line[i]
        rises = after > here
        turns[count] = begin
        count += rises != rising
        rising = rises
        begin = begin if after == here else i
        here = after
    turns[count] = begin
    return count + (not rising)


@kernel
def line_indices(line: Array, minimum: float, scratch: Array, pairs: Array) -> int:
    """Find the samples at which components are born and die.

    The same pairs in the same order as :func:`tutelage.modalities.topology.line.line_pairs`. Of equal
    samples the first counts as the lower one.

    Args:
        line: finite samples, [L], turned over for superlevel sets.
        minimum: a pair is kept if its life exceeds this.
        scratch: [3, L + 2], integers.
        pairs: receives (index of birth, index of death), at least [L // 2 + 1, 2].

    Returns:
        Number of pairs.
    """
    turns, wall, ground = scratch[0], scratch[1], scratch[2]
    count = turning_indices(line, turns)
    kept = 0
    top = -1
    lowest = turns[0]
    # the round after the last maximum stands for a wall without end, which removes all others
    for i in range(1, count + 1, 2):
        height = line[turns[i]] if i < count else inf
        while top >= 0 and line[wall[top]] <= height:
            other = ground[top]
            older = line[other] <= line[lowest]
            birth = lowest if older else other
            lowest = other if older else lowest
            death = wall[top]
            pairs[kept, 0] = birth
            pairs[kept, 1] = death
            kept += line[death] - line[birth] > minimum
            top -= 1
        top += 1
        wall[top] = turns[i]
        ground[top] = lowest
        lowest = turns[i + 1]
    return kept


@kernel
def turn_over(signal: Float, sign: float, line: Array) -> None:
    """Write ``sign * signal`` to ``line``."""
    for i in range(line.size):
        line[i] = sign * signal[i]


@kernel
def read_values(line: Array, pairs: Array, count: int, births: Array, deaths: Array) -> None:
    """Look up the values of births and deaths."""
    for p in range(count):
        births[p] = line[pairs[p, 0]]
        deaths[p] = line[pairs[p, 1]]
