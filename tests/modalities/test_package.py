"""Imports stay light, and compiled code never outlives its source."""

import pickle
import subprocess
import sys
from pathlib import Path

from tutelage.modalities.topology import images, kernel


def test_importing_tutelage_loads_nothing_heavy():
    code = (
        "import sys, tutelage\n"
        "heavy = {'numba', 'sklearn', 'torch', 'scipy'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_compiled_files_carry_the_digest_of_all_kernels():
    """numba alone would keep the old code of another file inside a cached function."""
    kept = images.draw_images._cache._cache_file
    assert kept._source_stamp == kernel.SOURCE
    assert len(kernel.SOURCE) == 64


def test_index_on_disk_holds_the_digest():
    import numpy as np

    from tutelage.modalities import PersistenceImage

    PersistenceImage(resolution=4).fit_transform(np.random.default_rng(0).normal(size=(2, 1, 20)))
    index = Path(images.draw_images._cache._cache_file._index_path)
    with index.open("rb") as file:
        pickle.load(file)  # version of numba
        stamp, _ = pickle.loads(file.read())
    assert stamp == kernel.SOURCE
