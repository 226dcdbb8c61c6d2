"""Pure functions from tensors to one number per sample; the batch mean is the paper's scalar."""

from tutelage.losses.classification import cross_entropy
from tutelage.losses.similarity import gram, merged_gram, row_normalise, similarity_maps
from tutelage.losses.soft_targets import soft_targets

__all__ = [
    "cross_entropy",
    "gram",
    "merged_gram",
    "row_normalise",
    "similarity_maps",
    "soft_targets",
]
