"""Persistence of a sampled line: connected components of sublevel sets in one pass, no sorting."""

from math import inf

from tutelage.modalities.topology.kernel import Float, kernel


@kernel
def turning_points(signal: Float, sign: float, turns: Float) -> int:
    """Keep the samples where a line turns: minimum, maximum, ..., minimum.

    A maximum at an end separates nothing and is left out. A plateau counts as falling, which can
    leave a turn of height zero; such pairs die in :func:`line_pairs`, where life > minimum is
    strict.

    Args:
        signal: samples, [L], L >= 1.
        sign: 1 for sublevel sets; -1 turns the line over (superlevel sets).
        turns: receives the values, at least [L + 1].

    Returns:
        Their number, odd.
    """
    count = 0
    rising = False
    here = sign * signal[0]
    for i in range(1, signal.size):
        after = sign * signal[i]
        rises = after > here
        # written always, kept only at a turn: a branch here would be mispredicted at every turn
        turns[count] = here
        count += rises != rising
        rising = rises
        here = after
    turns[count] = here
    return count + (not rising)


@kernel
def line_pairs(
    signal: Float,
    sign: float,
    minimum: float,
    scratch: Float,
    births: Float,
    deaths: Float,
) -> int:
    """Pair every local minimum but the lowest with the maximum at which its component dies.

    A stack holds the maxima that still separate two components, highest first, each with the lowest
    point on its left. A new maximum removes every lower one: there the two sides meet, and the one
    with the higher minimum dies (elder rule). O(L).

    Args:
        signal: samples, [L].
        sign: 1 for sublevel sets, -1 for superlevel sets.
        minimum: a pair is kept if its life exceeds this.
        scratch: [3, L + 2].
        births: receives ``sign`` x the value of birth, at least [L // 2 + 2].
        deaths: receives ``sign`` x the value of death, of the same size.

    Returns:
        Number of pairs. The component that never dies is the lowest sample and is not written.
    """
    turns, wall, floor = scratch[0], scratch[1], scratch[2]
    count = turning_points(signal, sign, turns)
    pairs = 0
    top = -1
    lowest = turns[0]
    turns[count] = inf  # a wall without end, which removes all others
    for i in range(1, count + 1, 2):
        height = turns[i]
        while top >= 0 and wall[top] <= height:
            other = floor[top]
            birth = max(other, lowest)
            lowest = min(other, lowest)
            death = wall[top]
            births[pairs] = birth
            deaths[pairs] = death
            pairs += death - birth > minimum
            top -= 1
        top += 1
        wall[top] = height
        floor[top] = lowest
        lowest = turns[i + 1]
    return pairs
