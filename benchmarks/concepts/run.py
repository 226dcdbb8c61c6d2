"""Do concepts matter? Accuracy at matched sparsity beside random words and shuffled names; leakage, interventions.

First, once: python -m benchmarks.labo.stand_in cifar10 (hapt) and python -m benchmarks.concepts.robots; then

python -m benchmarks.concepts.run [--data hapt robots]

What is done is written to runs/concepts, one draw a line, and not done again.
"""

import argparse
import json
from collections.abc import Callable, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

import torch

from benchmarks.common import machine
from benchmarks.concepts import annotated, page, spaces, texts

HERE = Path(__file__).parent
DRAWS = {
    "cifar10": [(0, draw) for draw in range(6)],
    "hapt": [(fold, draw) for draw in range(2) for fold in range(spaces.FOLDS)],
    "robots": [(0, draw) for draw in range(10)],
}
"""Data -> pairs of a fold and a draw of training samples and words."""
ANNOTATED = ("digits", "robots")


def kept(path: Path, keys: Sequence[tuple[int, int]], one: Callable[[int, int], Any]) -> list[Any]:
    """Return what every fold and draw gives; what stands in the file is not done again."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = path.read_text().splitlines() if path.exists() else []
    known = {(row["fold"], row["draw"]): row for row in map(json.loads, lines)}
    for fold, draw in keys:
        if (fold, draw) not in known:
            known[fold, draw] = {"fold": fold, "draw": draw, "found": one(fold, draw)}
            with path.open("a") as file:
                file.write(json.dumps(known[fold, draw]) + "\n")
            print(path.stem, fold, draw, flush=True)
    return [known[key] for key in keys]


def main() -> None:
    """Do what is missing and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stand-ins", type=Path, default=Path("stand-ins"))
    parser.add_argument("--runs", type=Path, default=Path("runs", "concepts"))
    parser.add_argument("--data", nargs="*", default=list(DRAWS), choices=DRAWS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    command = "python -m benchmarks.concepts.run"
    command += "" if options.data == list(DRAWS) else f" --data {' '.join(options.data)}"
    found: dict[str, Any] = {"command": command, "machine": machine(), "texts": {}, "annotated": {}}
    for name in options.data:
        space = cache(partial(getattr(spaces, name), options.stand_ins))

        def one(fold: int, draw: int, space: Callable[[], spaces.Space] = space) -> dict[str, Any]:
            return dict(texts.Trial(space(), fold, draw).rows())

        found["texts"][name] = kept(options.runs / f"{name}.jsonl", DRAWS[name], one)
    for name in ANNOTATED:
        study = annotated.study(name, options.stand_ins)
        keys = [(0, draw) for draw in range(10)]
        found["annotated"][name] = kept(options.runs / f"annotated-{name}.jsonl", keys, study)
    (HERE / "results.json").write_text(json.dumps(found, separators=(",", ":")) + "\n")
    (HERE / "results.md").write_text(page.page(found))
    page.figure(found, HERE / "matched.png")
    print(page.page(found))


if __name__ == "__main__":
    main()
