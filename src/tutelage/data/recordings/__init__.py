"""Recordings of your own, in tables: which files, what their columns mean, and how they become windows."""

from tutelage.data.recordings.annotations import Annotations
from tutelage.data.recordings.loader import Recordings

__all__ = ["Annotations", "Recordings"]
