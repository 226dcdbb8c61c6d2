"""Run tutorials and write their pages and figures: python docs/tutorials/render.py [NAME ...].

A tutorial is a script of cells, as editors and Jupyter know them: `# %% [markdown]` is text, `# %%` is Python,
`# %% language="bash"` is commands. Its page shows them in order, below each what it printed and drew.
"""

import contextlib
import io
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from textwrap import wrap
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
MARK = re.compile(r'# %%(?: \[(markdown)\]| language="(bash)")?$')
SAID = re.compile(r"```text\n.*?```\n\n|!\[[^\]]*\]\([\w-]+\.png\)\n\n", re.S)
SHOWN = 20  # lines of what a cell printed: the last ones
WIDTH = 120  # of them; longer sentences are wrapped


@dataclass(frozen=True)
class Cell:
    """One cell: markdown, python or bash, and its text without comment marks."""

    kind: str
    text: str


def cells(script: str) -> list[Cell]:
    """Return the cells of a script; what stands before the first mark belongs to none."""
    found: list[tuple[str, list[str]]] = []
    for line in script.splitlines():
        if mark := MARK.match(line):
            found.append((mark[1] or mark[2] or "python", []))
        elif found:
            kind, lines = found[-1]
            lines.append(line if kind == "python" else line.removeprefix("#").removeprefix(" "))
    return [Cell(kind, "\n".join(lines).strip()) for kind, lines in found]


def shown(cell: Cell, said: str = "") -> str:
    """Return a cell as Markdown, with the last lines of what it said."""
    if cell.kind == "markdown":
        return f"{cell.text}\n\n"
    lines = [part for line in said.strip("\n").splitlines() for part in wrap(line, WIDTH) or [""]]
    lines = lines if len(lines) <= SHOWN else ["...", *lines[-SHOWN:]]
    answer = "\n".join(["```text", *lines, "```\n\n"]) if lines else ""
    return f"```{cell.kind}\n{cell.text}\n```\n\n{answer}"


def bare(page: str) -> str:
    """Return a page without what its cells printed and drew: what the script alone decides."""
    return SAID.sub("", f"{page}\n")


def commands(text: str) -> str:
    """Run commands with this Python's `tutelage`, and return what they print.

    Raises:
        RuntimeError: one of them failed; with what it said.
    """
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-euc", text], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env=os.environ | {"PATH": path, "COLUMNS": "100"}, check=False,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"{text}\n{done.stdout}")
    return done.stdout


def python(text: str, names: dict[str, Any]) -> str:
    """Run Python among the names of earlier cells, and return what it prints."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(text, "<cell>", "exec"), names)
    return printed.getvalue()


def drawn(stem: str, figures: Path) -> Iterator[str]:
    """Write the figures that a cell left, and yield them as Markdown."""
    for number in plt.get_fignums():
        figure = plt.figure(number)
        name = f"{stem}{f'-{number}' if number > 1 else ''}.png"
        figure.savefig(figures / name, dpi=110, bbox_inches="tight", metadata={"Software": None})
        yield f"![{figure.get_label() or stem}]({name})\n\n"
    plt.close("all")


def run(script: Path, figures: Path) -> str:
    """Run a tutorial in an empty folder that has the repository's examples; write its figures and return its page."""
    names: dict[str, Any] = {}
    page = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary, script.stem)  # its name is part of those of studies
        folder.mkdir()
        (folder / "examples").symlink_to(ROOT / "examples")
        with contextlib.chdir(folder):
            for cell in cells(script.read_text()):
                said = ""
                if cell.kind == "bash":
                    said = commands(cell.text).replace(f"{folder}/", "")
                elif cell.kind == "python":
                    said = python(cell.text, names)
                page += [shown(cell, said), *drawn(script.stem, figures)]
    return "".join(page).rstrip() + "\n"


def scripts() -> list[Path]:
    """Return the tutorials."""
    return sorted(path for path in HERE.glob("*.py") if path != Path(__file__).resolve())


def main(names: list[str]) -> None:
    """Render the tutorials named, or all."""
    for script in scripts():
        if not names or script.stem in names:
            script.with_suffix(".md").write_text(run(script, HERE))
            print(script.with_suffix(".md").relative_to(ROOT))


if __name__ == "__main__":
    main(sys.argv[1:])
