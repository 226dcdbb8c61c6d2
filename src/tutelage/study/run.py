"""A study carried out: one queue of runs over all its cells."""

from pathlib import Path

from tutelage.execution.listener import Listener
from tutelage.execution.run import Plan, carry_out, make_plan
from tutelage.execution.workers import Engine, RunConfig, make_workers
from tutelage.runs.folder import code_version
from tutelage.study.file import Study, write_study

__all__ = ["plan_study", "run_study"]


def plan_study(study: Study, config: RunConfig, listener: Listener) -> Plan:
    """Find out what a study asks for and what of it is there.

    Raises:
        UserError: a cell is wrong.
    """
    recipes = {cell.name: cell.recipe for cell in study.cells}
    return make_plan(recipes, config, listener, study.name)


def run_study(
    study: Study, planned: Plan, listener: Listener, engine: Engine = make_workers
) -> Path:
    """Train what is missing in a study, beside other processes that do the same; return its folder.

    Args:
        study: the study.
        planned: what :func:`plan_study` found.
        listener: who is told.
        engine: provides the workers.
    """
    folder = planned.config.runs / study.name
    write_study(study, folder, code_version())
    carry_out(planned, listener, engine)
    return folder
