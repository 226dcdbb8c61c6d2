"""Checks of the cells of a study: is each what the study file asks for, and is it all there?"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from tutelage.audit.findings import Finding, listed
from tutelage.errors import UserError
from tutelage.runs.holes import is_given
from tutelage.study.file import lay, recipe_of
from tutelage.study.ledger import StudyCell, StudyLedger

Flat = dict[str, Any]


def refused(study: StudyLedger) -> Iterable[Finding]:
    """Find cells whose records contradict each other: shares above one, sums that do not add up, moved files."""
    for cell in study.cells:
        if cell.problem.startswith("refused: "):
            sentence = cell.problem.removeprefix("refused: ")
            defect = "out_of_range" if _is_range(sentence) else "contradiction"
            yield Finding(defect, cell.record.path, sentence)
        for hole in cell.experiment.holes if cell.experiment else ():
            if hole.kind == "unreadable":
                defect = "out_of_range" if _is_range(hole.reason) else "lost_files"
                yield Finding(defect, _place(cell, hole.path or ""), hole.reason)


def _is_range(sentence: str) -> bool:
    return "should be less than or equal" in sentence or "greater than or equal" in sentence


def missing_runs(study: StudyLedger) -> Iterable[Finding]:
    """Find runs and whole cells that were asked for and gave no number."""
    for cell in study.cells:
        holes = [
            hole
            for hole in study.missing
            if hole.cell == cell.name and hole.kind not in ("failed", "unreadable")
        ]
        if cell.experiment is None:
            if not cell.problem.startswith("refused: "):
                yield Finding(
                    "missing_runs", cell.record.path, f"Cell {cell.name}: {cell.problem}."
                )
            continue
        for stage in dict.fromkeys(hole.stage for hole in holes):
            mine = [hole for hole in holes if hole.stage == stage]
            runs = listed(f"fold {hole.fold} seed {hole.seed}" for hole in mine)
            place = _place(cell, mine[0].path or stage or "")
            yield Finding(
                "missing_runs",
                place,
                f"{stage}: {len(mine)} of "
                f"{_asked(cell, stage or '')} runs gave no number ({runs}): {mine[0].reason}.",
            )


def duplicated_entries(study: StudyLedger) -> Iterable[Finding]:
    """Find runs that an experiment lists twice, and one run that answers for several folds or seeds."""
    for cell in study.cells:
        record = cell.experiment.record if cell.experiment else None
        counts = Counter(record.runs if record else ())
        for entry, count in counts.items():
            if count > 1:
                yield Finding(
                    "duplicated_rows",
                    _place(cell, entry.path),
                    f"{entry.stage}, fold {entry.fold}, seed {entry.seed} is listed {count} times.",
                )
        answers: dict[str, set[tuple[str, int]]] = {}
        for entry in counts:
            if record is not None and is_given(record, entry.stage):
                continue  # the recipe says that one run stands for all
            answers.setdefault(entry.path, set()).add((entry.fold, entry.seed))
        for path, keys in answers.items():
            if len(keys) > 1:
                runs = listed(f"fold {fold} seed {seed}" for fold, seed in sorted(keys))
                yield Finding("duplicated_rows", _place(cell, path), f"One run answers for {runs}.")


def other_settings(study: StudyLedger) -> Iterable[Finding]:
    """Find cells that were run with other settings than the study file says, and cells that changed places."""
    asked = {cell.name: _asked_for(study, cell) for cell in study.cells}
    made = {
        cell.name: _flat(cell.experiment.record.resolved)
        for cell in study.cells
        if cell.experiment is not None
    }
    for cell in study.cells:
        wanted, ran = asked[cell.name], made.get(cell.name)
        if not wanted or not ran:
            continue
        other = _differences(wanted, ran)
        if not other:
            continue
        owner = next(
            (
                name
                for name, content in asked.items()
                if content and name != cell.name and not _differences(content, ran)
            ),
            None,
        )
        if owner is not None:
            yield Finding(
                "swapped_blocks",
                cell.record.path,
                f"Cell {cell.name} holds the runs of {owner}: {_told(other[0], wanted, ran)}.",
            )
            continue
        weights = any(
            word in key for key in other for word in ("coefficient", "weights", "temperature")
        )
        yield Finding(
            "mixed_weights" if weights else "other_settings",
            cell.record.path,
            f"Cell {cell.name} was run with other settings than the study file says: "
            f"{listed((_told(key, wanted, ran) for key in other), 3)}.",
        )


def _asked_for(study: StudyLedger, cell: StudyCell) -> Flat:
    """Return the settings that the study file gives to a cell; empty where it does not tell."""
    resolved = study.record.resolved
    if not isinstance(resolved, Mapping) or not isinstance(resolved.get("recipe"), Mapping):
        return {}
    content = lay(resolved["recipe"], resolved.get("set"))
    for axis, value in cell.at.items():
        content = lay(content, resolved.get("vary", {}).get(axis, {}).get(value))
    try:
        recipe = recipe_of(content, f"cell {cell.name}")
    except UserError:
        return {}  # of a later version of the recipe; nothing can be compared
    return _flat(json.loads(json.dumps(recipe.model_dump())))


def _flat(content: Any, path: str = "") -> Flat:
    if not isinstance(content, Mapping):
        return {path: content}
    flat: Flat = {}
    for key, value in content.items():
        flat |= _flat(value, f"{path}.{key}" if path else str(key))
    return flat


def _differences(asked: Flat, made: Flat) -> list[str]:
    """Return the keys that both have with unequal values; a title is no setting."""
    return [key for key in asked if key in made and key != "title" and asked[key] != made[key]]


def _told(key: str, asked: Flat, made: Flat) -> str:
    return f"{key} is {made[key]!r}, not {asked[key]!r}"


def _asked(cell: StudyCell, stage: str) -> int:
    return cell.experiment.planned(stage) if cell.experiment else 0


def _place(cell: StudyCell, path: str) -> str:
    return path if cell.record.path == "." else f"{cell.record.path}/{path}"
