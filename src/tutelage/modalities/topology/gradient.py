"""From the gradient of a persistence image to the gradient of its signal."""

# ruff: noqa: PLR0917  (arrays of a kernel are passed by position)
from math import floor, inf

import numpy as np

from tutelage.modalities.topology.images import new_canvas, render
from tutelage.modalities.topology.kernel import Array, Float, kernel
from tutelage.modalities.topology.lanes import LANES, project_lanes
from tutelage.modalities.topology.line_indices import line_indices, read_values, turn_over
from tutelage.modalities.topology.raster import ImageAxes, Rule, read_profile

Slopes = tuple[Array, Array]


@kernel
def highest(image: Array) -> int:
    """Return the flat index of the first largest pixel of an image >= 0, float32."""
    bits = image.view(np.int32)  # floats >= 0 sort alike, and the loop vectorises
    best, row = np.int32(0), 0
    for r in range(bits.shape[0]):
        line = bits[r]
        here = np.int32(0)
        for k in range(line.size):
            here = max(here, line[k])
        if here > best:
            best, row = here, r
    column = 0
    for k in range(bits.shape[1]):
        if bits[row, k] == best:
            column = k
            break
    return int(row * image.shape[1] + column)


@kernel
def signal_images(
    signals: Float,
    sign: float,
    rule: Rule,
    axes: ImageAxes,
    images: Array,
    pairs: Array,
    counts: Array,
    peaks: Array,
) -> None:
    """Make one image of every line and keep what its gradient needs.

    Args:
        signals: finite, [N, C, L].
        sign: 1 for sublevel sets, -1 for superlevel sets.
        rule: point filter, weights and normalisation.
        axes: both axes.
        images: receives [N, C, H, W], float32.
        pairs: receives the indices of births and deaths, [N, C, L // 2 + 1, 2].
        counts: receives the number of pairs, [N, C].
        peaks: receives the flat index of the largest pixel, [N, C], if that is the divisor.
    """
    items, channels, length = signals.shape
    scratch = np.empty((3, length + 2), np.int32)
    line = np.empty(length)
    births = np.empty(length)
    deaths = np.empty(length)
    canvas, rows, columns = new_canvas(images.shape[2], images.shape[3], axes)
    for n in range(items):
        for c in range(channels):
            turn_over(signals[n, c], sign, line)
            count = line_indices(line, rule.minimum, scratch, pairs[n, c])
            counts[n, c] = count
            read_values(line, pairs[n, c], count, births, deaths)
            image = images[n, c]
            render(births, deaths, count, sign, rule, axes, canvas, rows, columns, image)
            if rule.normalize == 1 and count > 0:
                peaks[n, c] = highest(image)


@kernel
def project(
    birth: float,
    life: float,
    axes: ImageAxes,
    slopes: Slopes,
    canvas: Array,
    peak: tuple[int, int],
    profiles: tuple[Array, Array, Array, Array],
    part: Array,
) -> None:
    """Sum a gradient of pixels over the mass that one point of weight 1 leaves in them.

    Args:
        birth: value of birth.
        life: persistence.
        axes: both axes.
        slopes: derivatives of the profiles along birth and along persistence.
        canvas: gradient of the pixels, laid out as in :func:`tutelage.modalities.topology.raster.draw`.
        peak: row and column of one pixel, without margin.
        profiles: scratch: [K], [K], [M], [M], float32.
        part: receives the sum, its derivative by life and by birth, and the same three for the one
            pixel with gradient 1; zeros if the point lies out of reach.
    """
    part[:] = 0.0
    columns, column_slopes, rows, row_slopes = profiles
    across, up = axes.across, axes.up
    reach = columns.size
    height, stride = canvas.shape
    y = (life - up.origin) / up.step
    x = (birth - across.origin) / across.step
    if not (abs(y) < 1e9 and abs(x) < 1e9):
        return
    cell_y = floor(y)
    cell_x = floor(x)
    top = cell_y + up.first
    left = cell_x + across.first + reach
    first = max(0, -top)
    stop = min(up.reached, height - top)
    if stop <= first or left <= 0 or left >= stride - reach:
        return
    read_profile(across.profiles, x - cell_x, 1.0, columns)
    read_profile(slopes[0], x - cell_x, 1.0, column_slopes)
    read_profile(up.profiles, y - cell_y, 1.0, rows)
    read_profile(slopes[1], y - cell_y, 1.0, row_slopes)
    flat = canvas.reshape(-1)
    start = (top + first) * stride + left
    for k in range(0, reach, LANES):
        value, by_life, by_birth = project_lanes(
            flat, start + k, stride, stop - first,
            rows, row_slopes, first, columns, column_slopes, k,
        )  # fmt: skip
        part[0] += value
        part[1] += by_life
        part[2] += by_birth
    r = peak[0] - top
    k = peak[1] + reach - left
    if first <= r < stop and 0 <= k < reach:
        part[3] = rows[r] * columns[k]
        part[4] = row_slopes[r] * columns[k]
        part[5] = rows[r] * column_slopes[k]


@kernel
def share(
    parts: Array, lives: Array, pairs: Array, count: int, sign: float, rule: Rule, gradient: Array
) -> None:
    """Turn the sums of :func:`project` into the gradient of the samples.

    With weights w, canvas = sum of w x mass and image = canvas / m, where m is the canvas at its
    largest pixel, the longest persistence, or 1.

    Args:
        parts: see :func:`project`, [count, 6].
        lives: persistence, [count].
        pairs: indices of births and deaths, [count, 2].
        count: number of points, at least 1.
        sign: 1, or -1 for superlevel sets.
        rule: weights and normalisation.
        gradient: zeros, [L]; receives the gradient.
    """
    total = peak = 0.0
    longest = 0
    for p in range(count):
        weight = lives[p] if rule.weighted else 1.0
        total += weight * parts[p, 0]
        peak += weight * parts[p, 3]
        if lives[p] > lives[longest]:
            longest = p
    divisor = lives[longest] if rule.relative else 1.0
    shift = 0.0
    if rule.normalize == 1:
        if not peak > 0.0:  # no point reaches the image, which is zero
            return
        divisor = peak
        shift = total / peak**2
    for p in range(count):
        value = parts[p, 0] / divisor - shift * parts[p, 3]
        by_life = parts[p, 1] / divisor - shift * parts[p, 4]
        by_birth = parts[p, 2] / divisor - shift * parts[p, 5]
        if rule.weighted:
            by_life = value + lives[p] * by_life
            by_birth *= lives[p]
        if rule.relative and rule.normalize == 0 and p == longest:
            by_life -= total / divisor**2
        gradient[pairs[p, 0]] += by_birth - sign * by_life
        gradient[pairs[p, 1]] += sign * by_life


@kernel
def take_rows(upstream: Array, low: int, high: int, margin: int, canvas: Array) -> None:
    """Copy rows ``low`` to ``high`` of a picture, lowest persistence first, between margins."""
    height, width = upstream.shape
    for r in range(max(0, low), min(height, high)):
        source = upstream[height - 1 - r]
        target = canvas[r, margin : margin + width]
        for k in range(target.size):
            target[k] = source[k]


@kernel
def signal_gradients(
    signals: Float,
    sign: float,
    rule: Rule,
    axes: ImageAxes,
    slopes: Slopes,
    kept: tuple[Array, Array, Array],
    upstream: Array,
    gradients: Array,
) -> None:
    """Carry the gradient of every image back to its signal.

    Args:
        signals: as for :func:`signal_images`, [N, C, L].
        sign: 1 for sublevel sets, -1 for superlevel sets.
        rule: weights and normalisation.
        axes: both axes.
        slopes: derivatives of the profiles, along birth and along persistence.
        kept: pairs, counts and peaks of :func:`signal_images`.
        upstream: gradient of the images, [N, C, H, W], float32.
        gradients: zeros, [N, C, L]; receives the gradient.
    """
    items, channels, length = signals.shape
    up, reach, tall = axes.up, axes.across.reach, axes.up.reach
    height, width = upstream.shape[2:]
    line = np.empty(length)
    births = np.empty(length)
    lives = np.empty(length)
    parts = np.empty((length, 6))
    canvas = np.zeros((height, width + 2 * reach), np.float32)
    across, down = np.empty((2, reach), np.float32), np.empty((2, tall), np.float32)
    profiles = (across[0], across[1], down[0], down[1])
    for n in range(items):
        for c in range(channels):
            count = kept[1][n, c]
            if count == 0:
                continue
            pairs = kept[0][n, c]
            turn_over(signals[n, c], sign, line)
            read_values(line, pairs, count, births, lives)
            least, most = inf, 0.0
            for p in range(count):
                lives[p] -= births[p]
                least = min(least, lives[p])
                most = max(most, lives[p])
            # clipped to a range that integers hold
            low = max(0.0, (least - up.origin) / up.step + up.first - 1.0)
            high = min(float(height), (most - up.origin) / up.step + up.first + up.reached + 1.0)
            take_rows(upstream[n, c], int(min(low, height)), int(max(high, 0.0)), reach, canvas)
            peak = (height - 1 - kept[2][n, c] // width, kept[2][n, c] % width)
            for p in range(count):
                project(sign * births[p], lives[p], axes, slopes, canvas, peak, profiles, parts[p])
            share(parts, lives, pairs, count, sign, rule, gradients[n, c])
