"""Draw docs/images/modalities.png with our own code: one window and one photo in every form.

python benchmarks/topology/picture.py
"""

from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from sklearn.datasets import load_sample_image

from tutelage.modalities import GramianField, PersistenceImage, SublevelPersistence, TransitionField

TARGET = Path(__file__).parents[2] / "docs" / "images" / "modalities.png"
INK, FAINT, VALLEY, HOLE = "#1f2933", "#9aa5b1", "#c2410c", "#0f766e"
STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "text.color": INK,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 8,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
}


def walking() -> np.ndarray:
    """Return 3 s of vertical acceleration as a wrist sees it while walking, made up, [100]."""
    time = np.arange(100) / 33.3
    step = 2 * np.pi * 1.8 * time
    x = 0.45 + 0.2 * np.sin(step) + 0.12 * np.sin(2 * step + 0.9) + 0.05 * np.sin(5 * step)
    return (
        x
        + 0.06 * np.sin(2 * np.pi * 0.4 * time)
        + 0.012 * np.random.default_rng(3).normal(size=100)
    )


def draw_signal(axes: Axes, x: np.ndarray) -> None:
    """Plot the window and, at every valley, a bar from birth to death."""
    time = np.arange(len(x)) / 33.3
    axes.plot(time, x, color=INK, lw=1.3)
    points = SublevelPersistence(essential="drop", min_persistence=0.02).fit_transform(
        x[None, None]
    )
    for birth, death in points.of(0):
        at = time[np.flatnonzero(x == birth)[0]]
        axes.plot([at, at], [birth, death], color=VALLEY, lw=1.1, alpha=0.9)
        axes.plot(at, birth, "o", color=VALLEY, ms=3.2)
    axes.set(title="Window, valleys and their depth", xlabel="time (s)", ylabel="value")


def draw_diagram(axes: Axes, groups: list[tuple[np.ndarray, str, str]], least: float) -> None:
    """Plot birth against persistence."""
    for points, color, label in groups:
        keep = points[points[:, 1] - points[:, 0] > least]
        axes.scatter(
            keep[:, 0], keep[:, 1] - keep[:, 0], s=16, c=color, alpha=0.75, lw=0, label=label
        )
    axes.set(title="Diagram", xlabel="birth", ylabel="persistence")
    axes.set_ylim(bottom=0)
    if len(groups) > 1:
        axes.legend(frameon=False, fontsize=8, handletextpad=0.1, loc="upper right")


def draw_image(
    axes: Axes, image: np.ndarray, title: str, note: str, colors: str, **more: float
) -> None:
    """Show one representation without ticks, with a note below."""
    axes.imshow(image, cmap=colors, interpolation="nearest", **more)
    axes.set(title=title, xticks=[], yticks=[])
    axes.set_xlabel(note, fontsize=8, labelpad=5)
    axes.set_box_aspect(1)
    for side in axes.spines.values():
        side.set_visible(True)


def main() -> None:
    mpl.rcParams.update(STYLE)
    figure, grid = plt.subplots(2, 6, figsize=(15.2, 5.5), width_ratios=[1.5, 1, 1, 1, 1, 1])
    x = walking()
    batch = x[None, None]
    draw_signal(grid[0, 0], x)
    points = SublevelPersistence(essential="drop").fit_transform(batch).of(0)
    draw_diagram(grid[0, 1], [(points, VALLEY, "")], 0.0)
    image = PersistenceImage(sigma=0.018, birth_range=(0, 0.8), persistence_range=(0, 0.7))
    picture = image.fit_transform(batch)[0, 0]
    draw_image(grid[0, 2], picture, "Persistence image", "birth → · persistence ↑", "magma")
    for axes, kind, name in (
        (grid[0, 3], "summation", "GASF"),
        (grid[0, 4], "difference", "GADF"),
    ):
        field = GramianField(kind=kind).fit_transform(batch)[0, 0]
        draw_image(axes, field, f"Gramian field ({name})", "time × time", "RdBu_r", vmin=-1, vmax=1)
    field = TransitionField().fit_transform(batch)[0, 0]
    draw_image(grid[0, 5], field, "Transition field (MTF)", "time × time", "viridis")

    photo = load_sample_image("flower.jpg")[120:376:4, 180:436:4].mean(axis=2) / 255
    plane = photo[None, None]
    draw_image(grid[1, 0], photo, "Picture", "64 × 64 pixels, value in [0, 1]", "gray")
    found = SublevelPersistence(dimensions=(0, 1), essential="drop").fit_transform(plane)
    groups = [(found.of(0, 0, 0), VALLEY, "components"), (found.of(0, 0, 1), HOLE, "holes")]
    draw_diagram(grid[1, 1], groups, 0.02)
    rule = {"sigma": 0.02, "birth_range": (0, 1), "persistence_range": (0, 0.8)}
    both = PersistenceImage(dimensions=(0, 1), min_persistence=0.02, **rule).fit_transform(plane)[0]
    note = "birth → · persistence ↑"
    draw_image(grid[1, 2], both[0], "Components (H0)", note, "magma")
    draw_image(grid[1, 3], both[1], "Holes (H1)", note, "magma")
    flat = PersistenceImage(reading="rows+columns", min_persistence=0.02, **rule)
    lines = flat.fit_transform(plane)[0]
    draw_image(grid[1, 4], lines[0], "Read by rows", note, "magma")
    draw_image(grid[1, 5], lines[1], "Read by columns", note, "magma")
    grid[0, 0].set_box_aspect(1 / 1.5)
    for axes in grid.flat:
        axes.set_anchor("N")
    for axes in grid[:, 1]:
        axes.set_box_aspect(1)
    figure.subplots_adjust(left=0.042, right=0.993, top=0.93, bottom=0.07, wspace=0.24, hspace=0.34)
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(TARGET, dpi=130)


if __name__ == "__main__":
    main()
