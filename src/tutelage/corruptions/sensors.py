"""Which channels form a sensor with three axes, and sensors that are worn turned."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from tutelage.corruptions.base import Corruption, InputFacts, Inputs
from tutelage.corruptions.signal import SignalCorruption
from tutelage.errors import UserError, unknown

__all__ = ["RotatedSensor", "bodies_of", "rotations"]

_AXIS = re.compile(r"(?:(?P<sensor>.*)[-_ .])?(?P<axis>[xyzXYZ])")
Body = tuple[tuple[int, int, int], ...]
"""What turns as one piece: the numbers of the x, y and z channel of each of its sensors."""


def bodies_of(channels: Sequence[str]) -> dict[str, Body]:
    """Return what turns as one piece by the names of channels: ``<body> <sensor>-x``.

    Three channels that end in x, y and z behind the same words are one sensor. The words before the last one name
    the body it is fixed to, so an accelerometer and a gyroscope of one device turn together.

    Args:
        channels: names.

    Returns:
        Name of the body, empty for a single device -> its sensors.

    Examples:
        >>> bodies_of(["acc-x", "acc-y", "acc-z", "gyro-x", "gyro-y", "gyro-z"])
        {'': ((0, 1, 2), (3, 4, 5))}
        >>> bodies_of(["hand acc-x", "hand acc-y", "hand acc-z", "chest acc-x"])
        {'hand': ((0, 1, 2),)}
    """
    sensors: dict[str, dict[str, int]] = {}
    for number, name in enumerate(channels):
        match = _AXIS.fullmatch(name)
        if match:
            sensors.setdefault(match["sensor"] or "", {})[match["axis"].lower()] = number
    bodies: dict[str, Body] = {}
    for sensor, axes in sensors.items():
        if len(axes) == 3:
            body = " ".join(re.split(r"[-_ .]", sensor)[:-1])
            bodies[body] = (*bodies.get(body, ()), (axes["x"], axes["y"], axes["z"]))
    return bodies


@dataclass(frozen=True)
class RotatedSensor(SignalCorruption):
    """A device that is worn turned: its axes are rotated about a random direction, another one in every window.

    All sensors of one device turn together, devices apart. The three axes of a sensor must have one unit.

    Args:
        levels: angle in degrees, for severity 1, 2, ...; at most 180.
        bodies: what turns as one piece: lists of channel names, x, y and z of one sensor after the other; by
            default what the names of the data set's channels say.
    """

    meaning: ClassVar[str] = "degrees by which each device is turned about a random direction"
    most: ClassVar[float] = 180.0
    levels: tuple[float, ...] = (10, 20, 30, 45, 60)
    bodies: tuple[tuple[str, ...], ...] = ()

    def refuse(self, facts: InputFacts) -> None:
        """Refuse signals without a sensor of three axes."""
        Corruption.refuse(self, facts)
        if not self.sensors(facts.channels):
            raise UserError(
                "RotatedSensor: no three channels are named x, y and z of one sensor "
                f"(found: {', '.join(facts.channels[:8])}); allowed: bodies: [[<x>, <y>, <z>], ...]"
            )

    def sensors(self, channels: Sequence[str]) -> tuple[Body, ...]:
        """Return the sensors of each body, as numbers of channels.

        Raises:
            UserError: ``bodies`` names what is no channel, one twice, or no three for a sensor.
        """
        if not self.bodies:
            return tuple(bodies_of(channels).values())
        named = [name for body in self.bodies for name in body]
        for name in named:
            if name not in channels:
                raise unknown("RotatedSensor.bodies", "channel", name, channels)
        if len(set(named)) < len(named) or any(len(body) % 3 or not body for body in self.bodies):
            raise UserError(
                "RotatedSensor.bodies: allowed: for each body x, y and z of one sensor after the other, every "
                "channel once"
            )
        order = list(channels)
        return tuple(
            tuple((order.index(x), order.index(y), order.index(z))
                  for x, y, z in zip(body[::3], body[1::3], body[2::3], strict=True))
            for body in self.bodies
        )  # fmt: skip

    def damage(self, inputs: Inputs, amount: float, rng: Generator, facts: InputFacts) -> Inputs:
        """Return signals of turned sensors."""
        for body in self.sensors(facts.channels):
            turn = rotations(len(inputs), amount, rng)
            for axes in body:
                seen = inputs[:, axes, :].astype(np.float64)
                inputs[:, axes, :] = np.einsum("nij,njt->nit", turn, seen).astype(inputs.dtype)
        return inputs


def rotations(count: int, degrees: float, rng: Generator) -> NDArray[np.float64]:
    """Return rotations by one angle about directions that are uniform on the sphere, [count, 3, 3].

    Source:
        Rodrigues: R = cos(a) I + sin(a) [k]x + (1 - cos(a)) k k'.
    """
    direction = rng.standard_normal((count, 3))
    k = direction / np.linalg.norm(direction, axis=1, keepdims=True)
    cross = np.zeros((count, 3, 3))
    cross[:, [2, 0, 1], [1, 2, 0]] = k
    cross[:, [1, 2, 0], [2, 0, 1]] = -k
    angle = math.radians(degrees)
    outer = k[:, :, None] * k[:, None, :]
    turned: NDArray[np.float64] = math.cos(angle) * np.eye(3) + math.sin(angle) * cross
    turned = turned + (1 - math.cos(angle)) * outer
    return turned
