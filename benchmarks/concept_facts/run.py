"""Do phrases that are shipped for HAPT hold in its signals? Those that can be measured, window by window.

python -m benchmarks.concept_facts.run

A phrase is true of a class if it holds in most windows of the classes that own it; it tells something if it holds
in fewer windows of the others. Windows of postural transitions overlap the movement by half or more, so that not
every one shows all of it.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.common import write
from tutelage.concepts import open_concepts
from tutelage.data import Hapt

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
RATE = 50.0
FREQUENCIES = np.fft.rfftfreq(512, 1 / RATE)


class Windows:
    """Quantities that phrases speak of, one number per window."""

    def __init__(self, signals: Floats) -> None:
        self.acceleration, self.rotation = signals[:, :3], signals[:, 3:]
        self.total = np.linalg.norm(self.acceleration, axis=1)
        self.turning = np.linalg.norm(self.rotation, axis=1)
        self.mean = self.acceleration.mean(2)
        self.start, self.end = (
            self.acceleration[:, :, part].mean(2) for part in (slice(24), slice(-24, None))
        )

    def tilt(self) -> Floats:
        """Degrees between the mean accelerations of the first and the last half second."""
        cosine = (self.start * self.end).sum(1)
        cosine /= np.linalg.norm(self.start, axis=1) * np.linalg.norm(self.end, axis=1)
        return np.degrees(np.arccos(np.clip(cosine, -1, 1)))

    def span(self) -> Floats:
        return np.ptp(self.total, axis=1)

    def swing(self) -> tuple[Floats, Floats]:
        """How far vertical acceleration rises above its mean, and falls below."""
        vertical = self.acceleration[:, 0]
        return vertical.max(1) - vertical.mean(1), vertical.mean(1) - vertical.min(1)

    def spectrum(self, signal: Floats, low: float, high: float) -> Floats:
        power = (
            np.abs(np.fft.rfft(_centred(signal) * np.hanning(signal.shape[1]), 512, axis=1)) ** 2
        )
        power[:, (FREQUENCIES < low) | (FREQUENCIES > high)] = 0
        return power

    def step_rate(self) -> Floats:
        return FREQUENCIES[self.spectrum(self.acceleration[:, 0], 1.2, 3.0).argmax(1)]

    def rhythm(self) -> Floats:
        """Largest autocorrelation of vertical acceleration between 0.4 and 0.9 s."""
        signal = _centred(self.acceleration[:, 0])
        energy = (signal**2).sum(1) + 1e-12
        lags = range(round(0.4 * RATE), round(0.9 * RATE))
        return np.max(
            [
                (signal[:, lag:] * signal[:, :-lag]).sum(1) / energy / (1 - lag / signal.shape[1])
                for lag in lags
            ],
            axis=0,
        )


def _centred(signal: Floats) -> Floats:
    return signal - signal.mean(1, keepdims=True)


def _within(values: Floats, low: float, high: float) -> Bools:
    return (values >= low) & (values <= high)


Holds = Callable[[Windows], Bools]
FACTS: dict[str, tuple[str, Holds]] = {
    "acc-x averages about 1 g": ("0.85 to 1.15 g", lambda w: _within(w.mean[:, 0], 0.85, 1.15)),
    "acc-x close to zero": ("within 0.3 g", lambda w: np.abs(w.mean[:, 0]) < 0.3),
    "acc-y or acc-z carries most of gravity": (
        "larger than acc-x",
        lambda w: np.abs(w.mean[:, 1:]).max(1) > np.abs(w.mean[:, 0]),
    ),
    "acc-y near or slightly above zero": (
        "-0.15 to 0.5 g",
        lambda w: _within(w.mean[:, 1], -0.15, 0.5),
    ),
    "acc-y slightly below zero": ("-0.35 to 0 g", lambda w: _within(w.mean[:, 1], -0.35, 0.0)),
    "gravity tips toward the front of the body": (
        "acc-y below -0.15 g",
        lambda w: w.mean[:, 1] < -0.15,
    ),
    "total acceleration stays close to 1 g": (
        "0.9 to 1.1 g always",
        lambda w: (w.total.min(1) > 0.9) & (w.total.max(1) < 1.1),
    ),
    "acceleration varies by a few hundredths of a g": ("below 0.1 g", lambda w: w.span() < 0.1),
    "acceleration varies by about one g or more": ("above 0.75 g", lambda w: w.span() > 0.75),
    "acceleration varies by more than one and a half g": ("as said", lambda w: w.span() > 1.5),
    "gyroscope stays close to zero": (
        "mean below 0.1 rad/s",
        lambda w: w.turning.mean(1) < 0.1,
    ),
    "gyroscope peaks above 1 rad/s": ("as said", lambda w: w.turning.max(1) > 1),
    "rotation peaks of one to three rad/s": ("as said", lambda w: _within(w.turning.max(1), 1, 3)),
    "rotation peaks above 2 rad/s": ("as said", lambda w: w.turning.max(1) > 2),
    "orientation stays the same within a degree or two": (
        "2 degrees between both ends",
        lambda w: w.tilt() < 2,
    ),
    "trunk orientation changes by only a few degrees": (
        "8 degrees between both ends",
        lambda w: w.tilt() < 8,
    ),
    "trunk turns by fifty to ninety degrees": (
        "40 to 100 degrees between both ends",
        lambda w: _within(w.tilt(), 40, 100),
    ),
    "acc-x falls from about 1 g toward zero": (
        "falls by 0.2 g or more",
        lambda w: w.end[:, 0] - w.start[:, 0] < -0.2,
    ),
    "acc-x rises from near zero to about 1 g": (
        "rises by 0.2 g or more",
        lambda w: w.end[:, 0] - w.start[:, 0] > 0.2,
    ),
    "acc-y ends higher than it began": (
        "by 0.1 g",
        lambda w: w.end[:, 1] - w.start[:, 1] > 0.1,
    ),
    "acc-y ends lower than it began": (
        "by 0.1 g",
        lambda w: w.end[:, 1] - w.start[:, 1] < -0.1,
    ),
    "fore-aft acceleration varies most": (
        "largest deviation",
        lambda w: w.acceleration.std(2).argmax(1) == 1,
    ),
    "vertical axis varies more than the other two": (
        "largest deviation",
        lambda w: w.acceleration.std(2).argmax(1) == 0,
    ),
    "rotation about the sideways axis is strongest": (
        "largest deviation",
        lambda w: w.rotation.std(2).argmax(1) == 2,
    ),
    "signal repeats with every step": (
        "autocorrelation above 0.5, 0.4 to 0.9 s",
        lambda w: w.rhythm() > 0.5,
    ),
    "one and a half to two steps per second": (
        "1.4 to 2.1 Hz, and repeats",
        lambda w: _within(w.step_rate(), 1.4, 2.1) & (w.rhythm() > 0.5),
    ),
    "a little less than two steps per second": (
        "1.6 to 2.0 Hz, and repeats",
        lambda w: _within(w.step_rate(), 1.6, 2.0) & (w.rhythm() > 0.5),
    ),
    "acceleration rises further above 1 g than it falls below": (
        "by 0.1 g",
        lambda w: w.swing()[0] - w.swing()[1] > 0.1,
    ),
    "highest acceleration between 1.5 and 2 g": (
        "1.4 to 2.1 g",
        lambda w: _within(w.total.max(1), 1.4, 2.1),
    ),
    "vertical peaks reach about 2 g": (
        "1.75 g or more",
        lambda w: w.acceleration[:, 0].max(1) >= 1.75,
    ),
    "acceleration falls to half a g between impacts": (
        "below 0.6 g",
        lambda w: w.total.min(1) < 0.6,
    ),
    "impacts softer than on the way down": (
        "steepest rise below 26 g/s",
        lambda w: (np.diff(w.acceleration[:, 0], axis=1).max(1) * RATE) < 26,
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    out: Path = parser.parse_args().out
    concepts = open_concepts("hapt")
    dataset = Hapt(activities="all").load()
    windows = Windows(np.asarray(dataset.inputs, np.float64))
    rows: list[list[str]] = [["phrase", "measured as", "classes", "holds in", "in the others"]]
    found = []
    for phrase, (rule, holds) in FACTS.items():
        owners = concepts.concepts[concepts.number(phrase)].owners
        true = holds(windows)
        shares = {
            name: float(true[dataset.labels == number].mean())
            for number, name in enumerate(dataset.class_names)
        }
        own = float(np.mean([shares[name] for name in owners]))
        rest = float(np.mean([share for name, share in shares.items() if name not in owners]))
        found.append({"phrase": phrase, "rule": rule, "owners": owners, "shares": shares})
        rows.append([phrase, rule, ", ".join(owners), f"{100 * own:.0f} %", f"{100 * rest:.0f} %"])
    note = (
        "shares are means over classes. What holds in others too need not be wrong: a class owns a phrase that is "
        "typical of it."
    )
    write(out, "python -m benchmarks.concept_facts.run", {"facts": found, "reading": note}, rows)


if __name__ == "__main__":
    main()
