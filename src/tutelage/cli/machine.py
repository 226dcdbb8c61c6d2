"""What this machine and this installation have."""

import os
import platform
import re
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import tutelage
from tutelage.files import bytes_in_words

__all__ = ["extras", "findings"]

_NEEDED = ("torch", "numpy", "pandas", "scipy", "scikit-learn", "lightning-fabric")
_FLAGS = {
    "avx2": "AVX2",
    "avx512f": "AVX-512",
    "avx512_bf16": "bf16 (AVX-512)",
    "amx_bf16": "bf16 (AMX)",
}
_INNER = ("dev",)  # extras of those who work on the package


def findings() -> Iterator[tuple[str, str]]:
    """Yield name and finding, in order."""
    yield "tutelage", f"{tutelage.__version__}, {Path(tutelage.__file__).parent}"
    yield "python", f"{sys.version.split()[0]}, {platform.platform()}"
    yield "packages", ", ".join(f"{name} {_version(name) or 'MISSING'}" for name in _NEEDED)
    yield from _machine()
    yield from _accelerators()
    for name, missing in extras().items():
        install = f"missing: {', '.join(missing)} (pip install 'tutelage[{name}]')"
        yield f"extra {name}", install if missing else "installed"


def extras() -> dict[str, list[str]]:
    """Return the packages that are missing of each extra."""
    found: dict[str, list[str]] = {}
    for line in metadata.requires("tutelage") or []:
        match = re.fullmatch(r"([\w.-]+).*;.*extra == ['\"](\w+)['\"].*", line)
        if match and match[2] not in _INNER:
            missing = found.setdefault(match[2], [])
            if _version(match[1]) is None:
                missing.append(match[1])
    return found


def _machine() -> Iterator[tuple[str, str]]:
    import psutil

    from tutelage.data.store import home

    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    threads = os.environ.get("OMP_NUM_THREADS")
    yield "cores", f"{allowed}" + (f", OMP_NUM_THREADS={threads}" if threads else "")
    memory = psutil.virtual_memory()
    yield "memory", f"{bytes_in_words(memory.total)}, {bytes_in_words(memory.available)} free"
    place = home()
    there = next(path for path in (place, *place.parents) if path.exists())
    yield "data cache", f"{place}, {bytes_in_words(psutil.disk_usage(str(there)).free)} free"
    yield "processor", _processor()


def _processor() -> str:
    """Return which instructions that matter the processor has, where the system tells."""
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return f"{platform.machine()}; what it can is not known on this system"
    match = re.search(r"^flags\s*:\s*(.*)$", text, re.M)
    flags = set(match[1].split()) if match else set()
    can = [words for flag, words in _FLAGS.items() if flag in flags]
    slow = (
        ""
        if flags & {"avx512_bf16", "amx_bf16"}
        else "; no bf16: precision bf16-mixed is slower here"
    )
    return (
        f"{platform.machine()}, {', '.join(can) or 'no vector instructions that are known'}{slow}"
    )


def _accelerators() -> Iterator[tuple[str, str]]:
    import torch

    if not torch.cuda.is_available():
        yield "GPU", "none that this torch can use"
    for number in range(torch.cuda.device_count()):
        card = torch.cuda.get_device_properties(number)
        bf16 = ", bf16" if torch.cuda.is_bf16_supported() else ""
        yield f"GPU {number}", f"{card.name}, {bytes_in_words(card.total_memory)}{bf16}"


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
