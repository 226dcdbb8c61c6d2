"""Signals and pictures as persistence images, Gramian fields, transition fields, and vectors of an encoder."""

from tutelage.modalities.base import Modality, Representation
from tutelage.modalities.cache import represent
from tutelage.modalities.diagrams import Diagrams, SublevelPersistence
from tutelage.modalities.embedding import Embedding
from tutelage.modalities.fields import GramianField, TransitionField
from tutelage.modalities.persistence_image import PersistenceImage
from tutelage.modalities.presets import PUBLISHED, published
from tutelage.modalities.scaled import Scaled
from tutelage.modalities.stored import Stored

__all__ = [
    "Stored",
    "Modality",
    "SublevelPersistence",
    "Diagrams",
    "PersistenceImage",
    "GramianField",
    "TransitionField",
    "Scaled",
    "Embedding",
    "published",
    "PUBLISHED",
    "Representation",
    "represent",
]
