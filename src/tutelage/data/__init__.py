"""Data sets, splits by subject and leakage scan.

``__all__`` names the loaders; a recipe's ``data: {type: Hapt, window: 128}`` is looked up there.
"""

from tutelage.data.arrays import Arrays
from tutelage.data.cifar import Cifar10
from tutelage.data.cifar100 import Cifar100
from tutelage.data.cinic import Cinic10
from tutelage.data.clip_sets import (
    DTD,
    SUN397,
    UCF101,
    Caltech101,
    EuroSAT,
    FGVCAircraft,
    Flowers102,
    Food101,
    OxfordPets,
    StanfordCars,
)
from tutelage.data.cub import Cub
from tutelage.data.dataset import DataSet as DataSet
from tutelage.data.digits import Digits
from tutelage.data.folders import ImageFolder
from tutelage.data.geneactiv import GeneActiv
from tutelage.data.hapt import Hapt
from tutelage.data.imagenet import ImageNet
from tutelage.data.imagenet_shifts import ImageNetA, ImageNetR, ImageNetSketch, ImageNetV2
from tutelage.data.pamap2 import Pamap2
from tutelage.data.recordings import Recordings
from tutelage.data.scenes import SyntheticEvents, SyntheticScenes
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
    "Cub",
    "Caltech101",
    "OxfordPets",
    "StanfordCars",
    "Flowers102",
    "Food101",
    "FGVCAircraft",
    "SUN397",
    "DTD",
    "EuroSAT",
    "UCF101",
    "ImageNetV2",
    "ImageNetSketch",
    "ImageNetA",
    "ImageNetR",
    "Digits",
    "Recordings",
    "Arrays",
    "ImageFolder",
    "SyntheticWearable",
    "SyntheticImages",
    "SyntheticScenes",
    "SyntheticEvents",
]
