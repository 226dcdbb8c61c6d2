"""One sample explained: what a network says of it and why, what its teachers say, and what it resembles."""

from tutelage.report.sample.data import (
    Contribution,
    Neighbour,
    Opinion,
    SampleExplanation,
    explain_sample,
)
from tutelage.report.sample.page import sample_text, write_sample_page

__all__ = [
    "Contribution",
    "Neighbour",
    "Opinion",
    "SampleExplanation",
    "explain_sample",
    "sample_text",
    "write_sample_page",
]
