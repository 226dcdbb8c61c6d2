"""What an audit found: one sentence for each defect, with its place."""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")
SHOWN = 5


@dataclass(frozen=True)
class Finding:
    """One defect.

    Args:
        defect: its name, which is the name of the check; see ``docs/audit.md``.
        place: of the number, run or table.
        sentence: what is wrong there.
    """

    defect: str
    place: str
    sentence: str


@dataclass(frozen=True)
class Audit:
    """The result of an audit.

    Args:
        source: what was looked at.
        size: how much that is, in words.
        checks: names of the checks that were made.
        findings: the defects.
        notes: what is no defect and deserves a look.
    """

    source: str
    size: str
    checks: tuple[str, ...]
    findings: tuple[Finding, ...]
    notes: tuple[str, ...] = ()

    @property
    def clean(self) -> bool:
        """Whether nothing was found."""
        return not self.findings

    def markdown(self) -> str:
        """The audit as a page."""
        lines = [f"# Audit of {self.source}", "", f"{self.size}. {self.verdict}", ""]
        if self.findings:
            lines += ["| defect | place | what was found |", "|---|---|---|"]
            lines += [
                f"| {one.defect} | {_cell(one.place)} | {_cell(one.sentence)} |"
                for one in self.findings
            ]
            lines.append("")
        if self.notes:
            lines += ["To look at, no defects:", "", *(f"- {note}" for note in self.notes), ""]
        return "\n".join([*lines, f"Checks made: {', '.join(self.checks)}.", ""])

    def write(self, folder: Path) -> None:
        """Write ``audit.md`` and ``audit.json``."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "audit.md").write_text(self.markdown(), encoding="utf-8")
        content = {"schema": 1} | asdict(self)
        text = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
        (folder / "audit.json").write_text(text, encoding="utf-8")

    @property
    def verdict(self) -> str:
        """How much was found, in a sentence."""
        count = len(self.findings)
        if not count:
            return "No defect was found."
        kinds = len({one.defect for one in self.findings})
        found = f"{count} finding{'s' if count > 1 else ''}"
        return f"{found} of {kinds} kind{'s' if kinds > 1 else ''}."


def listed(items: Iterable[str], shown: int = SHOWN) -> str:
    """Return the first few items in words.

    Examples:
        >>> listed(["a", "b", "c"], 2)
        'a, b and 1 more'
    """
    found = list(dict.fromkeys(items))
    if len(found) > shown:
        return f"{', '.join(found[:shown])} and {len(found) - shown} more"
    return " and ".join(filter(None, (", ".join(found[:-1]), *found[-1:])))


def collect(checks: Sequence[Callable[[T], Iterable[Finding]]], subject: T) -> tuple[Finding, ...]:
    """Return the findings of all checks, each once."""
    return tuple(dict.fromkeys(finding for check in checks for finding in check(subject)))


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
