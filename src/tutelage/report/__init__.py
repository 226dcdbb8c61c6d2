"""Tables, figures and one self-contained page, made from run folders only."""

from tutelage.report.example import ExampleWindow
from tutelage.report.page import write_report

__all__ = ["write_report", "ExampleWindow"]
