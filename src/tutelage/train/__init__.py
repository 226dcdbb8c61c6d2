"""The loop: epochs over batches, one step each; it knows no method, no data set and no file format."""

from tutelage.train.epoch import TrainingEpoch
from tutelage.train.guard import DivergedError
from tutelage.train.run import TrainingRun, fit
from tutelage.train.settings import Augmentation, Record, Settings, State, Training

__all__ = [
    "Augmentation",
    "DivergedError",
    "Record",
    "Settings",
    "State",
    "Training",
    "TrainingEpoch",
    "TrainingRun",
    "fit",
]
