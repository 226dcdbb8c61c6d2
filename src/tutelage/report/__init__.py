"""Tables, figures and one self-contained page, made from run folders only."""

from tutelage.report.page import write_report
from tutelage.report.study.overview import write_study_report
from tutelage.runs.example import ExampleWindow

__all__ = ["write_report", "write_study_report", "ExampleWindow"]
