"""Kernels of the Gramian and the transition field."""

import numpy as np

from tutelage.modalities.topology.kernel import Array, Float, kernel
from tutelage.modalities.topology.pixels import store_affine

SAME = (
    1e-8  # of the range of a signal: edges this close are one (pyts: 1e-8, for signals of any size)
)
EPSILON = np.finfo(np.float64).eps


@kernel
def angles(signal: Float, bounds: Array, limits: Array, cosine: Array, sine: Array) -> None:
    """Average a signal over segments, scale it to [-1, 1], and take cosine and sine of its angles.

    Args:
        signal: [L].
        bounds: first sample of every segment and L, [S + 1].
        limits: values that become -1 and 1, [2]; NaN: the signal's own extremes.
        cosine: receives [S], float64.
        sine: receives [S], float64.
    """
    longest, largest = 0, 0.0
    for s in range(cosine.size):
        total = 0.0
        for i in range(bounds[s], bounds[s + 1]):
            total += signal[i]
            largest = max(largest, abs(signal[i]))
        longest = max(longest, bounds[s + 1] - bounds[s])
        cosine[s] = total / (bounds[s + 1] - bounds[s])
    low, high = limits[0], limits[1]
    least = 0.0
    if np.isnan(low):
        low, high = cosine.min(), cosine.max()
        # what rounding can make of equal averages
        least = (longest + 1) * EPSILON * largest
    scale = 2.0 / (high - low) if high - low > least else 0.0
    for s in range(cosine.size):
        value = min(1.0, max(-1.0, (cosine[s] - low) * scale - 1.0))
        cosine[s] = value
        sine[s] = np.sqrt(1.0 - value * value)


@kernel
def gramian_images(
    signals: Float, bounds: Array, limits: Array, summation: bool, images: Array
) -> None:
    """Write the Gramian field of every signal.

    Args:
        signals: [N, C, L].
        bounds: see :func:`angles`, [S + 1].
        limits: see :func:`angles`, [2].
        summation: cos(a_i + a_j), else sin(a_i - a_j).
        images: receives [N, C, S, S], float32 or uint8.
    """
    size = bounds.size - 1
    cosine = np.empty(size)
    sine = np.empty(size)
    # a row is factor_1 * first + factor_2 * second, for both kinds
    first = np.empty(size, np.float32)
    second = np.empty(size, np.float32)
    line = np.empty(size, np.float32)
    for n in range(signals.shape[0]):
        for c in range(signals.shape[1]):
            angles(signals[n, c], bounds, limits, cosine, sine)
            first[:] = cosine
            second[:] = sine
            for i in range(size):
                a = np.float32(cosine[i] if summation else sine[i])
                b = np.float32(sine[i] if summation else cosine[i])
                for k in range(size):
                    line[k] = a * first[k] - b * second[k]
                store_affine(line, np.float32(127.5), np.float32(1.0), images[n, c, i])


@kernel
def levels(signal: Float, edges: Array, level: Array) -> int:
    """Sort samples into levels between edges; edges that are nearly equal count once.

    Args:
        signal: [L].
        edges: ascending, [E], float64.
        level: receives [L], 0 to E.

    Returns:
        Number of levels that can occur.
    """
    kept = np.empty(edges.size)
    count = 0
    low, high = signal.min(), signal.max()
    same = max(SAME * (high - low), 4 * EPSILON * max(-low, high))
    for e in range(edges.size):
        if e == edges.size - 1 or abs(edges[e + 1] - edges[e]) > same:
            kept[count] = edges[e]
            count += 1
    for i in range(signal.size):
        number = 0
        for e in range(count):
            number += kept[e] < signal[i]
        level[i] = number
    return count + 1


@kernel
def moves(level: Array, chance: Array) -> None:
    """Count moves between consecutive levels and make every row sum to 1 (or stay 0).

    Args:
        level: [L].
        chance: receives [B, B], float64.
    """
    chance[:] = 0.0
    for i in range(level.size - 1):
        chance[level[i], level[i + 1]] += 1.0
    for b in range(chance.shape[0]):
        total = chance[b].sum()
        if total > 0.0:
            chance[b] /= total


@kernel
def mix(share: Array, chance: Array, s: int, blend: Array) -> None:
    """Average the chances of one segment against every other.

    Args:
        share: of the samples of every segment that lie on a level, [B, S].
        chance: of a move between levels, [B, B].
        s: the segment.
        blend: receives [S].
    """
    blend[:] = 0.0
    for b in range(chance.shape[0]):
        if share[b, s] == 0.0:
            continue
        for other in range(chance.shape[0]):
            factor = np.float32(share[b, s] * chance[b, other])
            if factor > 0.0:
                for k in range(blend.size):
                    blend[k] += factor * share[other, k]


@kernel
def transition_images(signals: Float, edges: Array, bounds: Array, images: Array) -> None:
    """Write the transition field of every signal.

    The mean of a block of the full L x L field depends only on how often each level occurs in the
    two segments, so that field is never made.

    Args:
        signals: [N, C, L].
        edges: of the levels, [N, C, B - 1], float64.
        bounds: first sample of every segment and L, [S + 1].
        images: receives [N, C, S, S], float32 or uint8.
    """
    size = bounds.size - 1
    bins = edges.shape[2] + 1
    level = np.empty(signals.shape[2], np.int64)
    chance = np.empty((bins, bins))
    share = np.empty((bins, size), np.float32)
    blend = np.empty(size, np.float32)
    for n in range(signals.shape[0]):
        for c in range(signals.shape[1]):
            levels(signals[n, c], edges[n, c], level)
            moves(level, chance)
            share[:] = 0.0
            for s in range(size):
                part = 1.0 / (bounds[s + 1] - bounds[s])
                for i in range(bounds[s], bounds[s + 1]):
                    share[level[i], s] += part
            for s in range(size):
                mix(share, chance, s, blend)
                store_affine(blend, np.float32(255.0), np.float32(0.0), images[n, c, s])
