"""Measure the memory that images of all of PAMAP2 need: 28,949 windows of 40 channels, 64 x 64, uint8.

    python benchmarks/topology/memory.py [--folder FOLDER] [--windows 28949]

Input is a memory map (0.5 GB), output is a file (4.7 GB) that is checked and deleted. The resident
memory of the process is sampled from outside of Python's allocator every 20 ms.
"""

import argparse
import json
import resource
import shutil
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import psutil

from data import pamap2_like
from tutelage.modalities import published, represent

HERE = Path(__file__).parent
CHANNELS, LENGTH = 40, 100


def write_input(path: Path, windows: int) -> np.ndarray:
    """Write windows in pieces; every piece is another cut of 2,560 x 40 distinct signals."""
    signals = pamap2_like(2560)[:, 0]
    out = np.lib.format.open_memmap(path, "w+", np.float32, (windows, CHANNELS, LENGTH))
    rng = np.random.default_rng(0)
    for start in range(0, windows, 512):
        stop = min(start + 512, windows)
        picked = rng.integers(len(signals), size=(stop - start, CHANNELS))
        shift = rng.integers(LENGTH)
        out[start:stop] = np.roll(signals[picked], shift, axis=2)
    out.flush()
    del out
    return np.load(path, mmap_mode="r")


class Peak(threading.Thread):
    """Samples the resident set of this process."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.bytes, self.private, self.stop = 0, 0, threading.Event()

    def run(self) -> None:
        process = psutil.Process()
        while not self.stop.wait(0.02):
            found = process.memory_info()
            self.bytes = max(self.bytes, found.rss)
            self.private = max(self.private, found.rss - found.shared)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--folder", type=Path, help="a disk with 6 GB free; default: the temporary one"
    )
    parser.add_argument("--windows", type=int, default=28_949)
    arguments = parser.parse_args()
    work = Path(tempfile.mkdtemp(dir=arguments.folder))
    try:
        array = write_input(work / "x.npy", arguments.windows)
        modality = published("tda_kd_pamap2", n_jobs=-1).set_params(dtype="uint8")
        before = psutil.Process().memory_info().rss
        peak = Peak()
        peak.start()
        began, cpu = time.perf_counter(), time.process_time()
        images = represent(modality, array, source="synthetic", train=None, folder=work)
        seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
        peak.stop.set()
        peak.join()
        few = np.random.default_rng(1).integers(arguments.windows, size=20)
        assert np.array_equal(images[few], modality.transform(array[few]))
        began = time.perf_counter()
        represent(modality, array, source="synthetic", train=None, folder=work)
        again = time.perf_counter() - began
        result = {
            "command": "python benchmarks/topology/memory.py",
            "shape": list(images.shape),
            "dtype": str(images.dtype),
            "file_gb": images.nbytes / 1e9,
            "peak_resident_gb": peak.bytes / 1e9,
            "peak_private_gb": peak.private / 1e9,
            "resident_before_gb": before / 1e9,
            "resident_by_the_kernel_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6,
            "limit_gb": 2.0,
            "seconds": seconds,
            "cpu_seconds": cpu,
            "seconds_second_call": again,
            "threads": psutil.cpu_count(),
        }
    finally:
        shutil.rmtree(work)
    assert result["resident_by_the_kernel_gb"] < result["limit_gb"], result
    (HERE / "memory.json").write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
