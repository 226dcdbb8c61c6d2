"""Settings of every test, and the memory of a process that runs many of them."""

import gc

import pytest
from hypothesis import settings

from tutelage.execution.memory import give_back

# No test is timed: a busy machine is no defect. The same examples are drawn on every machine.
settings.register_profile("tutelage", deadline=None, derandomize=True)
settings.load_profile("tutelage")


def pytest_collection_finish():
    """Leave what was imported and collected out of every later search for garbage."""
    gc.collect()
    gc.freeze()


def pytest_unconfigure():
    """Let the interpreter end as usual."""
    gc.unfreeze()


@pytest.fixture(autouse=True, scope="module")
def memory_given_back():
    """Let no file of tests leave its freed memory to the next."""
    yield
    gc.collect()
    give_back()
