"""Tables and the figure of what was found; intervals over draws are Student's t, of people over folds."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from benchmarks.concepts.texts import LEVELS, PUBLISHED
from tutelage.statistics.paired import PairedDifference, paired_difference

TITLES = {
    "cifar10": "CIFAR-10, stand-in for CLIP",
    "hapt": "HAPT, signal-text stand-in",
    "robots": "Robots with known rules",
    "digits": "Digits, even or odd",
}
ROWS = {
    "none/concepts": "concepts",
    "none/words": "random words",
    "none/salad": "their own words in random order",
    "none/directions": "random directions",
    "threshold/concepts": "concepts, above a threshold",
    "threshold/words": "random words, above a threshold",
    "threshold/salad": "their own words in random order, above a threshold",
    "threshold/directions": "random directions, above a threshold",
    "softmax/concepts": "concepts, softmax over them",
    "softmax/words": "random words, softmax over them",
    "taught/concepts": "concepts, taught by the linear probe",
    "taught/words": "random words, taught by the linear probe",
    "owned/names": "a class may read its own concepts alone",
    "owned/shuffled": "the same, names shuffled",
    "labo/concepts": "LaBo as published, pruned",
    "labo/words": "the same on random words",
    "labo/shuffled": "the same, names shuffled",
}
PAIRS = {
    "concepts − random words": ("none/concepts", "none/words"),
    "concepts − their own words in random order": ("none/concepts", "none/salad"),
    "concepts − random directions": ("none/concepts", "none/directions"),
    "above a threshold: concepts − random words": ("threshold/concepts", "threshold/words"),
    "above a threshold: concepts − their own words in random order": (
        "threshold/concepts",
        "threshold/salad",
    ),
    "above a threshold: concepts − random directions": (
        "threshold/concepts",
        "threshold/directions",
    ),
    "softmax: concepts − random words": ("softmax/concepts", "softmax/words"),
    "taught by the probe: concepts − random words": ("taught/concepts", "taught/words"),
    "own concepts − the same, names shuffled": ("owned/names", "owned/shuffled"),
    "LaBo, pruned − the same on random words": ("labo/concepts", "labo/words"),
    "LaBo, pruned − the same, names shuffled": ("labo/concepts", "labo/shuffled"),
}
DRAWN = {
    "none/concepts": ("concepts", "#0072B2", "-"),
    "none/words": ("random words", "#D55E00", "--"),
    "none/directions": ("random directions", "#777777", ":"),
    "threshold/concepts": ("concepts, above a threshold", "#009E73", "-"),
    "threshold/words": ("random words, above a threshold", "#CC79A7", "--"),
}
INTRO = (
    "Do concepts matter? Accuracy at matched sparsity (NEC: concepts that a class reads) beside random words and "
    "shuffled names; leakage and interventions.",
    "",
    "Differences: paired over draws of training samples and words, 95 % intervals of Student's t; of HAPT over "
    "six groups of three people, so for new people. Bold: the interval excludes zero, one comparison at a time. "
    "Classes take one concept after the other (`matching_layers`) unless said otherwise.",
)
Draws = Sequence[Mapping[str, Any]]
Read = Callable[[Mapping[str, Any]], float]


def difference(draws: Draws, a: Read, b: Read) -> PairedDifference:
    """Return the difference of two readings over draws, in points."""
    folds = len({row["fold"] for row in draws}) > 1
    one, other = (
        {
            (str(row["fold"]) if folds else "", row["draw"]): 100 * read(row["found"])
            for row in draws
        }
        for read in (a, b)
    )
    return paired_difference(one, other)


def said(gain: PairedDifference) -> str:
    """Return a difference with its interval; bold where that excludes zero."""
    if gain.interval is None:
        return f"{gain.mean:+.1f}"
    text = f"{gain.mean:+.1f} ({gain.interval.low:+.1f} to {gain.interval.high:+.1f})"
    return (f"**{text}**" if gain.interval.excludes_zero else text).replace("-", "−")


def mean(draws: Draws, read: Read) -> float:
    """Return the mean over draws, in %."""
    return float(np.mean([100 * read(row["found"]) for row in draws]))


def at(row: str, level: int | str) -> Read:
    """Return how a row is read at a number of effective concepts."""
    return lambda found: found[row][str(level)]


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return a table in Markdown."""
    return [
        "| " + " | ".join(head) + " |",
        "|---|" + "---:|" * (len(head) - 1),
        *("| " + " | ".join(row) + " |" for row in rows),
        "",
    ]


def matched(name: str, draws: Draws) -> list[str]:
    """Return what one set of samples and texts says at matched sparsity."""
    dense = mean(draws, at("probe", "all"))
    lines = [
        f"## {TITLES[name]}",
        "",
        f"{len(draws)} draws. Linear probe on the embeddings: {dense:.1f} %.",
        "",
    ]
    head = ["accuracy, %", *(f"NEC {k}" for k in LEVELS)]
    lines += table(
        head,
        [[text, *(f"{mean(draws, at(row, k)):.1f}" for k in LEVELS)] for row, text in ROWS.items()],
    )
    shown = (1, 2, 3, 5)
    lines += table(
        ["difference, points", *(f"NEC {k}" for k in shown)],
        [[text, *(said(difference(draws, at(a, k), at(b, k))) for k in shown)]
         for text, (a, b) in PAIRS.items()],
    )  # fmt: skip
    have = [k for k in PUBLISHED if str(k) in draws[0]["found"]["path/concepts"]]
    keys = [*(str(k) for k in have), "mean"]
    rows = [[text, *(f"{mean(draws, at(row, k)):.1f}" for k in keys)]
            for row, text in (("path/concepts", "concepts"), ("path/words", "random words"))]  # fmt: skip
    gains = [said(difference(draws, at("path/concepts", k), at("path/words", k))) for k in keys]
    lines += [
        "The published protocol: a path of elastic nets, pruned by magnitude without refit.",
        "",
    ]
    head = ["accuracy, %", *(f"NEC {k}" for k in have), "mean (ANEC)"]
    return lines + table(head, [*rows, ["difference, points", *gains]])


def annotated(name: str, draws: Draws) -> list[str]:
    """Return what annotations say of concepts."""

    def get(key: str) -> Read:
        return lambda found: found[key]

    def curve(order: str, k: int) -> Read:
        return lambda found: found["curves"][order][k]

    facts = [
        ("concept accuracy − chance", "concepts", "chance"),
        ("concept accuracy with names shuffled − chance", "renamed", "chance"),
        ("class accuracy with names shuffled − as named", "soft, renamed", "soft"),
        ("leakage: head on probabilities − head on yes and no", "soft", "hard"),
        ("the same for a few concepts", "few, soft", "few, hard"),
        ("a few concepts: probabilities − the truth", "few, soft", "few, true"),
    ]
    rows = [
        [text, f"{mean(draws, get(a)):.1f}", f"{mean(draws, get(b)):.1f}", said(difference(draws, get(a), get(b)))]
        for text, a, b in facts
    ]  # fmt: skip
    rows += [
        [f"concepts − random directions at NEC {k}",
         f"{mean(draws, at('matched/concepts', k)):.1f}", f"{mean(draws, at('matched/directions', k)):.1f}",
         said(difference(draws, at("matched/concepts", k), at("matched/directions", k)))]
        for k in (1, 2, 3, 5)
    ]  # fmt: skip
    lines = [f"## {TITLES[name]}: annotated concepts", ""]
    lines += table(["", "first, %", "second, %", "difference, points"], rows)
    orders = draws[0]["found"]["curves"]
    counts = range(len(orders["renamed"]))
    lines += ["Class accuracy in % after the truth of so many concepts was told:", ""]
    return lines + table(
        ["concepts told", *map(str, counts)],
        [[order, *(f"{mean(draws, curve(order, k)):.1f}" for k in counts)] for order in orders],
    )


def page(found: Mapping[str, Any]) -> str:
    """Return the whole page."""
    lines = [f"`{found['command']}`", "", *INTRO, ""]
    for name, draws in found["texts"].items():
        lines += matched(name, draws)
    for name, draws in found["annotated"].items():
        lines += annotated(name, draws)
    return "\n".join(lines).rstrip() + "\n"


def figure(found: Mapping[str, Any], path: Path) -> None:
    """Draw accuracy over the number of effective concepts, one panel for each set."""
    sets: Mapping[str, Draws] = found["texts"]
    drawing = Figure(figsize=(3.4 * len(sets), 3.6), layout="constrained")
    panels = drawing.subplots(1, len(sets), squeeze=False)[0]
    for axes, (name, draws) in zip(panels, sets.items(), strict=True):
        for row, (text, colour, line) in DRAWN.items():
            values = [mean(draws, at(row, k)) for k in LEVELS]
            axes.plot(LEVELS, values, line, color=colour, label=text, marker="o", ms=3.5)
        axes.axhline(mean(draws, at("probe", "all")), color="black", lw=0.8, label="linear probe")
        axes.set_title(TITLES[name], fontsize=10)
        axes.set_xlabel("effective concepts of a class")
        axes.set_xticks(LEVELS)
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel("accuracy, %")
    lines, texts = panels[0].get_legend_handles_labels()
    drawing.legend(lines, texts, loc="outside lower center", ncols=2, fontsize=8, frameon=False)
    drawing.savefig(path, dpi=150)
