"""The recipe and the study of a beginning, as text with comments to confirm."""

import json
import math
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
    """Return window, split and size of a batch that fit the data."""
    if found is None:
        return {
            "window": "128",
            "split": "{type: GroupedFolds, folds: 6, validation: 5}",
            "batch": 64,
            "few": "",
        }
    rate = found.rate or 50.0
    samples = min(max(round(_LONG * rate), _SAMPLES[0]), _SAMPLES[1])
    window = f"{_LONG:g} s" if samples == round(_LONG * rate) else str(samples)
    # Half of the windows, at least, are trained on; a batch is a quarter of them where there are few.
    few_windows = found.rows / (samples / 2) / 8
    batch = max(8, min(64, 2 ** int(math.log2(max(1.0, few_windows)))))
    return {"window": window, "batch": batch, **_split(found.people)}


def _split(people: int) -> dict[str, str]:
    """Return who is tested, and what to say of it."""
    if people < 3:
        few = "Fewer than three people: the last part of each recording is tested: nothing is said of new people."
        return {"split": "{type: TimeSplit, test: 0.2, validation: 0.2}", "few": few}
    folds = min(5, people)
    validation = max(1, min(round(people / 6), people - -(-people // folds) - 1))
    return {"split": f"{{type: GroupedFolds, folds: {folds}, validation: {validation}}}", "few": ""}


def _yaml(value: object) -> str:
    """Return a text, or a list of them, as YAML on one line; whatever it is, it stays a text."""
    return json.dumps(list(value) if isinstance(value, tuple) else value, ensure_ascii=True)


def _comment(value: object) -> str:
    """Return what may stand in a comment: one line without controls."""
    texts = map(str, value) if isinstance(value, tuple) else [str(value)]
    return printable(" ".join(", ".join(texts).split()))[:200]
