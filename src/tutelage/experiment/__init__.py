"""Recipes: typed configuration, dry run, and experiments carried out into run folders."""

from tutelage.experiment.check import Checked, check
from tutelage.experiment.config import Recipe, load
from tutelage.experiment.listener import Listener, Quiet
from tutelage.experiment.networks import load_network
from tutelage.experiment.run import execute
from tutelage.experiment.workers import Places

__all__ = [
    "Checked",
    "Listener",
    "Places",
    "Quiet",
    "Recipe",
    "check",
    "execute",
    "load",
    "load_network",
]
