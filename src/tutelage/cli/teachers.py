"""``tutelage check --teachers``: what trained teachers know together, before a student is taught."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from rich.console import Console

from tutelage.errors import UserError

if TYPE_CHECKING:
    from tutelage.execution.queue import Complete
    from tutelage.execution.run import Plan
    from tutelage.execution.workers import RunConfig
    from tutelage.recipe.config import Recipe
    from tutelage.recipe.resolve import RunSpec
    from tutelage.report.table import Table
    from tutelage.study.teachers import Heard, TeacherSurvey

__all__ = ["check_teachers", "teaching"]

Kind = tuple[tuple[str, ...], tuple[tuple[str, float], ...]]


def check_teachers(path: Path, overrides: Sequence[str], config: RunConfig, train: bool) -> None:
    """Survey the teachers of a recipe, and print what they know.

    Args:
        path: the recipe file; teachers are trained in an experiment of their own, ``<name>-teachers``, and found
            there when the recipe is run.
        overrides: changes to it.
        config: where things lie.
        train: train teachers, and the student alone, where they are missing.

    Raises:
        UserError: no student has teachers, or runs are missing.
    """
    from tutelage.cli.progress import Screen
    from tutelage.execution.run import carry_out, make_plan
    from tutelage.recipe.config import load
    from tutelage.recipe.reader import folder_name

    recipe, own = load(path, overrides), f"{folder_name(path, overrides)}-teachers"
    with Screen() as screen:
        planned = make_plan({own: teaching(recipe)}, config, screen)
        if train and planned.missing:
            carry_out(planned, screen)
    if screen.failed:
        raise UserError(f"teachers: {len(screen.failed)} runs failed; the lines above say why")
    found = _surveys(recipe, planned)
    _tell_missing(planned)
    if not found:
        raise UserError(
            "teachers: no fold and seed has all its teachers and the student alone trained (allowed: --train, or "
            "tutelage run first)"
        )
    folder = config.runs / own / "teachers"
    for number, each in enumerate(found, 1):
        _tell(each, number, folder)


def teaching(recipe: Recipe) -> Recipe:
    """Return a recipe of the teachers and the student alone, and of what these need.

    Raises:
        UserError: no stage has teachers.
    """
    teachers = recipe.teachers()
    if not teachers:
        raise UserError("--teachers: no stage of the recipe has teachers")
    alone = recipe.reference()
    wanted = set().union(*(recipe.needed_for(name) for name in (alone, *teachers)))
    stages = {name: stage for name, stage in recipe.stages.items() if name in wanted}
    changes = {"stages": stages, "baseline": alone, "transfer": {}}
    return recipe.untested.model_copy(update=changes)


def _surveys(recipe: Recipe, planned: Plan) -> list[TeacherSurvey]:
    """Return one survey for each set of teachers, with the recipe's weights."""
    from tutelage.study.teachers import fixed_weights, survey

    specs = {(s.stage, s.fold, s.seed): s for s in planned.experiments[0].specs}
    alone, kinds = recipe.reference(), dict[Kind, list[str]]()
    for name, stage in recipe.stages.items():
        if stage.teachers and name != alone:
            weights = fixed_weights(recipe.objectives(name), sorted(stage.teachers)) or {}
            kinds.setdefault((tuple(sorted(stage.teachers)), tuple(weights.items())), []).append(
                name
            )
    found = []
    for (teachers, stated), learners in kinds.items():
        every = [
            _hear(spec, teachers, recipe, specs, planned.complete)
            for (stage, _, _), spec in specs.items()
            if stage == alone
        ]
        heard = [each for each in every if each is not None]
        if heard:
            names = planned.kept.dataset(next(iter(specs.values())).data).class_names
            found.append(survey(alone, learners, heard, names, dict(stated) or None))
    return found


def _hear(
    spec: RunSpec,
    teachers: Sequence[str],
    recipe: Recipe,
    specs: Mapping[tuple[str, int, int], RunSpec],
    complete: Complete,
) -> Heard | None:
    """Read what the student alone and the teachers of one fold and seed say."""
    from tutelage.study.teachers import hear

    folders = {}
    for name in teachers:
        own = recipe.stages[name].seed
        teacher = specs[name, spec.fold, spec.seed if own is None else own]
        if teacher.key not in complete:
            return None
        folders[name] = complete[teacher.key]
    if spec.key not in complete:
        return None
    return hear((str(spec.fold), spec.seed), complete[spec.key], folders)


def _tell_missing(planned: Plan) -> None:
    missing = [task.spec for task in planned.missing]
    if missing:
        shown = [f"{spec.stage} ({spec.fold_name}, seed {spec.seed})" for spec in missing[:6]]
        more = f" and {len(missing) - 6} more" if len(missing) > 6 else ""
        _say(f"not trained yet: {', '.join(shown)}{more}; --train trains them")


def _tell(found: TeacherSurvey, number: int, folder: Path) -> None:
    from tutelage.report.panels.teachers.tables import tables
    from tutelage.report.panels.teachers.words import CHOSEN, sentences

    made = tables(found, number)
    _say(f"{', '.join(found.teachers)}, for {', '.join(found.learners)}", style="bold")
    _show(made[0])
    for sentence in (*sentences(found), CHOSEN):
        _say(sentence)
    for table in made:
        table.write(folder)
    _say(f"numbers: {folder}")


def _show(table: Table) -> None:
    """Print a table without its spreads: a terminal is narrow, the files have everything."""
    from rich.table import Table as Shown

    shown = Shown(box=None, pad_edge=False)
    for column in table.columns[:-1]:
        # Names stay whole; a heading that finds no room is broken, never cut.
        side: Literal["left", "right"] = "left" if column.left else "right"
        shown.add_column(column.title, justify=side, no_wrap=column.left, overflow="fold")
        if column.key == "gain":
            shown.add_column("95 %", justify="right", no_wrap=True)
    for row in table.rows:
        cells = [cell.text for cell in row.cells[:-1]]
        cells.insert(3, row.cells[2].sub)
        shown.add_row(*cells)
    Console().print(shown, markup=False, highlight=False)


def _say(text: str, style: str | None = None) -> None:
    Console().print(text, style=style, markup=False, highlight=False, soft_wrap=True)
