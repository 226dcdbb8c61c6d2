"""Tutelage: many teachers, one small student; knowledge distillation that proves what it claims.

A recipe carried out and read back:

    recipe = tutelage.load_recipe(Path("recipes/hapt/three-teachers.yaml"), ["train.epochs=5"])
    folder = tutelage.run(recipe, "first-try", tutelage.RunConfig(jobs=2))
    experiment = tutelage.read_experiment(folder)
    print(tutelage.compare(experiment))

``import tutelage`` alone costs nothing: each name is imported when it is asked for. The packages below
(``tutelage.losses``, ``tutelage.train``, ``tutelage.report``, ...) hold all the rest.
"""

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # what __getattr__ gives, for editors and type checkers
    from tutelage import losses as losses
    from tutelage import modalities as modalities
    from tutelage import models as models
    from tutelage import objectives as objectives
    from tutelage import terms as terms
    from tutelage import weighting as weighting
    from tutelage.errors import UserError as UserError
    from tutelage.evaluate import assess as assess
    from tutelage.evaluate import predict as predict
    from tutelage.execution.run import execute as run  # noqa: F401
    from tutelage.execution.workers import RunConfig as RunConfig
    from tutelage.export import Stream as Stream
    from tutelage.export import load_model as load  # noqa: F401
    from tutelage.models import On as On
    from tutelage.objectives import Distiller as Distiller
    from tutelage.recipe.config import Recipe as Recipe
    from tutelage.recipe.config import load as load_recipe  # noqa: F401
    from tutelage.recipe.networks import load_network as load_network
    from tutelage.report import write_report as write_report
    from tutelage.report.sample import explain_sample as explain  # noqa: F401
    from tutelage.runs.ledger import read_experiment as read_experiment
    from tutelage.study.comparison import compare as compare
    from tutelage.study.file import load_study as load_study
    from tutelage.study.ledger import read_study as read_study
    from tutelage.tracking import track_runs as track  # noqa: F401
    from tutelage.training.check import check as check
    from tutelage.types import Batch as Batch
    from tutelage.types import Output as Output
    from tutelage.types import View as View

_PLACES = {
    "load_recipe": "tutelage.recipe.config:load",
    "check": "tutelage.training.check:check",
    "run": "tutelage.execution.run:execute",
    "RunConfig": "tutelage.execution.workers:RunConfig",
    "read_experiment": "tutelage.runs.ledger:read_experiment",
    "compare": "tutelage.study.comparison:compare",
    "write_report": "tutelage.report:write_report",
    "explain": "tutelage.report.sample:explain_sample",
    "load_study": "tutelage.study.file:load_study",
    "read_study": "tutelage.study.ledger:read_study",
    "track": "tutelage.tracking:track_runs",
    "load_network": "tutelage.recipe.networks:load_network",
    "predict": "tutelage.evaluate:predict",
    "load": "tutelage.export:load_model",
    "Stream": "tutelage.export:Stream",
    "assess": "tutelage.evaluate:assess",
    "Recipe": "tutelage.recipe.config:Recipe",
    "Distiller": "tutelage.objectives:Distiller",
    "On": "tutelage.models:On",
    "Batch": "tutelage.types:Batch",
    "Output": "tutelage.types:Output",
    "View": "tutelage.types:View",
    "UserError": "tutelage.errors:UserError",
    "losses": "tutelage.losses",
    "modalities": "tutelage.modalities",
    "models": "tutelage.models",
    "objectives": "tutelage.objectives",
    "terms": "tutelage.terms",
    "weighting": "tutelage.weighting",
}

__version__ = version("tutelage")
__all__ = list(_PLACES)


def __getattr__(name: str) -> Any:
    """Import what is asked for by its name here."""
    if name not in _PLACES:
        raise AttributeError(f"module 'tutelage' has no attribute {name!r}")
    module, _, attribute = _PLACES[name].partition(":")
    value = import_module(module)
    return getattr(value, attribute) if attribute else value


def __dir__() -> list[str]:
    return ["__version__", *__all__]
