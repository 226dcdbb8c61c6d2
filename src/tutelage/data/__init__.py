"""Data sets, splits by subject, leakage scan and corruptions.

``__all__`` names the loaders; a recipe's ``data: {type: Hapt, window: 128}`` is looked up there.
"""

from tutelage.data.cifar import Cifar10
from tutelage.data.cifar100 import Cifar100
from tutelage.data.cinic import Cinic10
from tutelage.data.dataset import DataSet as DataSet
from tutelage.data.folders import Arrays, ImageFolder
from tutelage.data.geneactiv import GeneActiv
from tutelage.data.hapt import Hapt
from tutelage.data.imagenet import ImageNet
from tutelage.data.pamap2 import Pamap2
from tutelage.data.store import home as home
from tutelage.data.synthetic import SyntheticImages, SyntheticWearable
from tutelage.data.tiny_imagenet import TinyImageNet

__all__ = [
    "Hapt",
    "Pamap2",
    "GeneActiv",
    "Cifar10",
    "Cifar100",
    "Cinic10",
    "TinyImageNet",
    "ImageNet",
    "Arrays",
    "ImageFolder",
    "SyntheticWearable",
    "SyntheticImages",
]
