"""Pure functions from tensors to one number per sample; the batch mean is the paper's scalar."""

from tutelage.losses.angular_margin import angular_margin
from tutelage.losses.angular_softmax import with_margin
from tutelage.losses.attention import attention_map, attention_transfer, matched_maps
from tutelage.losses.channel_attention import channel_distance
from tutelage.losses.class_relations import class_relations
from tutelage.losses.classification import cross_entropy
from tutelage.losses.concepts import attention_entropy, concept_distance
from tutelage.losses.contrast import discriminative_consistent, noise_contrast
from tutelage.losses.decoupled_targets import decoupled_targets
from tutelage.losses.entropy import entropy
from tutelage.losses.feature_statistics import (
    feature_statistics,
    sample_statistics,
    statistics_distance,
)
from tutelage.losses.features import cosine_distance, mean_absolute, mean_square
from tutelage.losses.log_sum import log_sum_distance
from tutelage.losses.logit_scaling import spread_scaled, standardised
from tutelage.losses.orthogonality import orthogonal_features, orthogonality
from tutelage.losses.shapes import onto, same_space
from tutelage.losses.similarity import gram, merged_gram, row_normalise, similarity_maps
from tutelage.losses.soft_targets import soft_targets

__all__ = [
    "angular_margin",
    "attention_entropy",
    "attention_map",
    "attention_transfer",
    "channel_distance",
    "class_relations",
    "concept_distance",
    "cosine_distance",
    "cross_entropy",
    "decoupled_targets",
    "discriminative_consistent",
    "entropy",
    "feature_statistics",
    "gram",
    "log_sum_distance",
    "matched_maps",
    "mean_absolute",
    "mean_square",
    "merged_gram",
    "noise_contrast",
    "onto",
    "orthogonal_features",
    "orthogonality",
    "row_normalise",
    "same_space",
    "sample_statistics",
    "similarity_maps",
    "soft_targets",
    "spread_scaled",
    "standardised",
    "statistics_distance",
    "with_margin",
]
