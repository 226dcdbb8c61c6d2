"""Studies carried out: planned, run and watched."""

from tutelage.study.engine.engines import engine_of
from tutelage.study.engine.estimation import Estimate, estimate, refuse_unfit
from tutelage.study.engine.run import plan_study, run_study
from tutelage.study.engine.status import CellStatus, Status, status_of
from tutelage.study.engine.ways import ways_of

__all__ = [
    "CellStatus",
    "Estimate",
    "Status",
    "engine_of",
    "estimate",
    "plan_study",
    "refuse_unfit",
    "run_study",
    "status_of",
    "ways_of",
]
