"""The page of a data set: what a person should see before anything is trained."""

from tutelage.report.dataset.page import write_data_page

__all__ = ["write_data_page"]
