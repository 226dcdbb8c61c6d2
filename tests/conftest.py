"""Settings of every test."""

from hypothesis import settings

# No test is timed: a busy machine is no defect. The same examples are drawn on every machine.
settings.register_profile("tutelage", deadline=None, derandomize=True)
settings.load_profile("tutelage")
