"""Settings of every test."""

import os

from hypothesis import settings

if "PYTEST_XDIST_WORKER" in os.environ:
    # Two processes of two threads on two cores wait for each other. Set before torch is imported.
    os.environ.setdefault("OMP_NUM_THREADS", "1")

# No test is timed: a busy machine is no defect. The same examples are drawn on every machine.
settings.register_profile("tutelage", deadline=None, derandomize=True)
settings.load_profile("tutelage")
