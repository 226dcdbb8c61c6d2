"""Sort pixels by value."""

import numpy as np

from tutelage.modalities.topology.kernel import Array, Float, kernel


@kernel
def float_keys(values: Float, items: Array, count: int, keys: Array) -> tuple[np.uint32, np.uint32]:
    """Write unsigned integers that sort like the values rounded to float32.

    Returns:
        Bitwise AND and OR of all keys: bytes that agree in both need no sorting.
    """
    rounded = np.empty(1, np.float32)
    bits = rounded.view(np.uint32)
    every = np.uint32(0xFFFFFFFF)
    some = np.uint32(0)
    for k in range(count):
        rounded[0] = values[items[k]]
        pattern = bits[0]
        if pattern >> np.uint32(31):
            pattern = ~pattern
        else:
            pattern = pattern | np.uint32(0x80000000)
        keys[k] = pattern
        every &= pattern
        some |= pattern
    return every, some


@kernel
def ascending(values: Float, items: Array, count: int, keys: Array, spare: Array) -> None:
    """Sort ``items`` by ``values[item]``; equal values keep their order.

    A radix sort of float32 keys, then one insertion pass on the exact values, which moves little.

    Args:
        values: no NaN and no negative zero.
        items: positions in ``values``, sorted in place, at least [count].
        count: number of items.
        keys: scratch, uint32, [2, count].
        spare: scratch like ``items``.
    """
    if count > 48:
        every, some = float_keys(values, items, count, keys[0])
        places = np.empty(256, np.int64)
        source, target = keys[0], keys[1]
        here, there = items, spare
        flipped = False
        for byte in range(4):
            shift = np.uint32(8 * byte)
            if ((every ^ some) >> shift) & np.uint32(255) == 0:
                continue
            places[:] = 0
            for k in range(count):
                places[(source[k] >> shift) & np.uint32(255)] += 1
            total = 0
            for v in range(256):
                total, places[v] = total + places[v], total
            for k in range(count):
                v = (source[k] >> shift) & np.uint32(255)
                to = places[v]
                places[v] = to + 1
                target[to] = source[k]
                there[to] = here[k]
            source, target = target, source
            here, there = there, here
            flipped = not flipped
        if flipped:
            items[:count] = spare[:count]
    for k in range(1, count):
        item = items[k]
        value = values[item]
        to = k
        while to > 0 and values[items[to - 1]] > value:
            items[to] = items[to - 1]
            to -= 1
        items[to] = item
