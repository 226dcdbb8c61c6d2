"""Complete runs written to the experiment trackers that people have already: MLflow, Weights & Biases, Trackio."""

from tutelage.tracking.send import TRACKERS, Sent, track_runs

__all__ = ["TRACKERS", "Sent", "track_runs"]
