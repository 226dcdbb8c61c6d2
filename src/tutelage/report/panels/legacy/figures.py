"""Honest and legacy accuracy of every stage, joined by their gap."""

from tutelage.report.drawing.canvas import WIDTH, Drawing, canvas, finish
from tutelage.report.palette import BLUE, INK, LINE, MUTED, PAPER, VERMILLION
from tutelage.report.table import Table
from tutelage.report.wording import short


def legacy_gap(table: Table) -> Drawing:
    """Honest and legacy accuracy of every stage, joined by their gap."""
    rows: list[list[object]] = []
    with canvas(WIDTH, 70 + 38 * len(table.rows)) as figure:
        axes = figure.subplots()
        for y, row in enumerate(table.rows):
            name, honest, legacy, gap = row.cells
            a, b = 100 * float(honest.value or 0), 100 * float(legacy.value or 0)
            rows.append([name.text, a, b])
            axes.plot([a, b], [y, y], color=LINE, linewidth=6, solid_capstyle="round")
            axes.scatter([a], [y], s=58, color=BLUE, zorder=3, label="on validation (honest)")
            axes.scatter([b], [y], s=58, color=PAPER, edgecolors=VERMILLION, linewidths=2.2,
                         zorder=3, label="on the test split (legacy)")  # fmt: skip
            axes.annotate(gap.text, (max(a, b), y), xytext=(12, 0), textcoords="offset points",
                          va="center", color=MUTED, fontsize=11.5)  # fmt: skip
        axes.set_yticks(range(len(table.rows)), [short(row.cells[0].text) for row in table.rows])
        axes.tick_params(axis="y", length=0, labelcolor=INK, labelsize=12)
        axes.set_ylim(len(table.rows) - 0.4, -0.6)
        axes.margins(x=0.08)
        axes.grid(axis="x")
        axes.spines["left"].set_visible(False)
        axes.set_xlabel("test accuracy, %, by where the epoch was chosen")
        handles, labels = axes.get_legend_handles_labels()
        figure.legend(handles[:2], labels[:2], loc="outside upper left", ncols=2)
        return finish(figure, "legacy", "Accuracy under the honest and the legacy protocol",
                      ("stage", "honest_percent", "legacy_percent"), rows)  # fmt: skip
