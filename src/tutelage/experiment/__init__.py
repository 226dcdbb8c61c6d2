"""Recipes: typed configuration, dry run, and experiments carried out into run folders."""

from tutelage.experiment.check import Checked, check
from tutelage.experiment.config import Recipe, load
from tutelage.experiment.networks import load_network
from tutelage.experiment.run import Listener, Places, execute

__all__ = ["Checked", "Listener", "Places", "Recipe", "check", "execute", "load", "load_network"]
