"""The recipe and the study of a beginning, as text with comments to confirm."""

import json
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from tutelage.errors import UserError
from tutelage.files import replacing
from tutelage.inert import printable
from tutelage.recipe.names import refuse_names
from tutelage.study.start.guessing import Guess

_LONG = 2.56  # seconds of a window: a few steps, and enough of what lies still
_SAMPLES = (16, 1024)  # of a window, at least and at most


def write_start(name: str, found: Guess | None, to: Path) -> tuple[Path, Path]:
    """Write ``recipe.yaml`` and ``study.yaml`` into a new folder.

    Args:
        name: of the folder.
        found: what the recordings seem to be; None: the data set HAPT, to begin with.
        to: where the folder is made.

    Returns:
        Both files.

    Raises:
        UserError: the name is no name of a folder, or there is something of that name.
    """
    refuse_names((name,), "new")
    folder = to / name
    if folder.exists():
        raise UserError(f"{folder}: there is something of that name; name another, or take it away")
    environment = Environment(
        loader=PackageLoader("tutelage.study.start", "."), undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True,
    )  # fmt: skip
    environment.filters["yaml"] = _yaml
    environment.filters["comment"] = _comment
    told: dict[str, Any] = {
        "name": name,
        "folder": folder.as_posix(),
        "found": found,
        **_facts(found),
    }
    written = []
    for kind in ("recipe", "study"):
        path = folder / f"{kind}.yaml"
        with replacing(path) as unfinished:
            text = environment.get_template(f"{kind}.yaml.j2").render(told)
            unfinished.write_text(text, encoding="utf-8")
        written.append(path)
    return written[0], written[1]


def _facts(found: Guess | None) -> dict[str, Any]:
    """Return window and split that fit the data."""
    if found is None:
        return {
            "window": "128",
            "split": "{type: GroupedFolds, folds: 6, validation: 5}",
            "folds": "[0]",
            "few": "",
        }
    window = f"{_LONG:g} s"
    if found.rate is not None and not _SAMPLES[0] <= _LONG * found.rate <= _SAMPLES[1]:
        window = str(min(max(round(_LONG * found.rate), _SAMPLES[0]), _SAMPLES[1]))
    if found.people >= 3:
        folds = min(5, found.people)
        tested = -(-found.people // folds)
        validation = max(1, min(round(found.people / 6), found.people - tested - 1))
        split = f"{{type: GroupedFolds, folds: {folds}, validation: {validation}}}"
        return {"window": window, "split": split, "folds": "[0]", "few": ""}
    few = "Fewer than three people: the last part of each recording is tested, which says nothing of new people."
    return {
        "window": window,
        "split": "{type: TimeSplit, test: 0.2, validation: 0.2}",
        "folds": "[0]",
        "few": few,
    }


def _yaml(value: object) -> str:
    """Return a text, or a list of them, as YAML on one line; whatever it is, it stays a text."""
    return json.dumps(list(value) if isinstance(value, tuple) else value, ensure_ascii=True)


def _comment(value: object) -> str:
    """Return what may stand in a comment: one line without controls."""
    texts = map(str, value) if isinstance(value, tuple) else [str(value)]
    return printable(" ".join(", ".join(texts).split()))[:200]
