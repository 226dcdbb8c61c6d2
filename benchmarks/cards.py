"""Put the measured numbers of a method into its card, from the result files alone.

python -m benchmarks.cards

A card names its recipes (``recipes/hapt/NAME.yaml``); the block between the two markers is replaced by what
``benchmarks/method_matrix`` and ``benchmarks/step_cost`` found for them. A test compares cards with results.
"""

import json
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
CARDS = ROOT / "docs" / "methods"


def results(benchmark: str, name: str) -> dict[str, list[str]]:
    """Return row name -> cells of a results table; empty where it was never run."""
    path = ROOT / "benchmarks" / benchmark / name / "results.json"
    if not path.exists():
        return {}
    _, *rows = json.loads(path.read_text())["rows"]
    return {row[0]: row[1:] for row in rows}


def block(text: str) -> str:
    """Return the measured block of a card, or nothing where none of its recipes was measured."""
    lines = []
    for data in ("hapt", "cifar10"):
        cost, matrix = results("step_cost", data), results("method_matrix", data)
        for name in dict.fromkeys(re.findall(rf"recipes/{data}/([\w-]+)\.yaml", text)):
            # A recipe with several methods has one row for each.
            own = (
                [name] if name in matrix else [row for row in matrix if row.startswith(f"{name}-")]
            )
            for row in own:
                runs, accuracy, _, difference, *_ = matrix[row]
                step = cost.get(row, ["", "", "", ""])
                cells = [row, data.upper(), runs, accuracy, difference, step[1], step[2], step[3]]
                lines.append("| " + " | ".join(cells) + " |")
    if not lines:
        return ""
    head = (
        "| recipe | data | runs | test accuracy, % (mean ± SD) | minus the student alone, points "
        "| time of a step, times plain KD | memory kept for backward, times plain KD "
        "| parameters dropped at export |"
    )
    return "\n".join(
        [
            BEGIN,
            "## Measured",
            "",
            head,
            "|---|---|---|---|---|---|---|---|",
            *lines,
            "",
            "Runs are pairs of fold (held-out subjects) and seed, at a small budget; n.d. = not "
            "distinguishable. How: [method matrix](../../benchmarks/method_matrix), "
            "[step cost](../../benchmarks/step_cost).",
            END,
        ]
    )


def renewed(text: str) -> str:
    """Return a card with its measured block replaced."""
    bare = re.sub(rf"\n*{BEGIN}.*?{END}\n*", "\n", text, flags=re.DOTALL).rstrip() + "\n"
    found = block(bare)
    return bare + (f"\n{found}\n" if found else "")


def main() -> None:
    for path in sorted(CARDS.glob("*.md")):
        text = path.read_text()
        new = renewed(text)
        if new != text:
            path.write_text(new)
            print(f"{path.name}: renewed")


if __name__ == "__main__":
    main()
