"""Numbers in the names of files, and in logs of training."""

import re
from collections.abc import Iterator
from pathlib import Path

from tutelage.audit.imports.claim import Claim
from tutelage.audit.imports.names import metrics_in, settings_in, without_settings

TEXTS = (".log", ".txt", ".out")
_METRICS_OF_NAMES = re.compile(
    r"[_-]?(?:train|val(?:id(?:ation)?)?|test|acc(?:uracy)?)[_-]?(?:acc)?[_=-]?\d+(?:\.\d+)?",
    re.IGNORECASE,
)
_WORDS = re.compile(
    r"[_-](?:best|last|final|ckpt|checkpoint|epoch|ep\d+)(?![A-Za-z])", re.IGNORECASE
)
_BEST = re.compile(r"(?<![A-Za-z])best(?![A-Za-z])", re.IGNORECASE)
_LINE = 10_000  # characters of a line that are read; longer ones hold dumps, no results
_EPOCH = re.compile(r"(?<![A-Za-z])ep(?:och)?s?\W{0,3}(\d+)", re.IGNORECASE)


def named(path: Path) -> Iterator[Claim]:
    """Read the name of a file; its content is not looked at.

    Examples:
        >>> [claim] = named(Path("runs/wrn_T4_alpha0.9_seed3_ep14_val69.5260_best.pth"))
        >>> claim.value, claim.column, claim.row, claim.settings["temperature"]
        (69.526, 'validation', 'wrn', '4')
    """
    stem = path.name if path.suffix[1:].isdigit() else path.stem
    settings = settings_in(stem) | _chosen(stem)
    for metric, text in metrics_in(_without_pairs(stem)).items():
        yield _claim(path, stem, metric, text, settings, path.name)


def logged(path: Path) -> Iterator[Claim]:
    """Read the last values that a log states, and those it calls best.

    Where the best value of the test split is the largest of all epochs and no validation split is logged, the
    epoch was chosen on the test split: the claim says so.
    """
    lines = path.read_bytes().decode("utf-8", errors="replace").splitlines()
    stem = path.stem
    curve: dict[str, list[float]] = {}
    last: dict[str, tuple[str, int]] = {}
    best: dict[str, tuple[str, int]] = {}
    settings: dict[str, str] = {}
    for number, whole in enumerate(lines, 1):
        line = whole[:_LINE]
        metrics = metrics_in(line)
        if not metrics:
            settings |= settings_in(line)
        elif _BEST.search(line):
            best |= {name: (value, number) for name, value in metrics.items()}
        elif _EPOCH.search(line):
            last |= {name: (value, number) for name, value in metrics.items()}
            for name, value in metrics.items():
                curve.setdefault(name, []).append(float(value))
    settings = settings | settings_in(stem) | _chosen(stem)
    for name, (value, number) in (last | best).items():
        if name.startswith("train") and float(value) == float(value):
            continue
        told = settings | ({"chosen": "best"} if name in best else {})
        if name in best and _on_test(name, float(value), curve):
            told |= {"selected": "test"}
        yield _claim(path, stem, name, value, told, f"{path.name}:{number}")


def _on_test(name: str, value: float, curve: dict[str, list[float]]) -> bool:
    epochs = curve.get(name, [])
    return (name == "test" and len(epochs) > 1 and "validation" not in curve
            and abs(max(epochs) - value) < 1e-9)  # fmt: skip


def _claim(
    path: Path, stem: str, metric: str, text: str, settings: dict[str, str], place: str
) -> Claim:
    value = float(text)
    label = _WORDS.sub("", _METRICS_OF_NAMES.sub("", stem)).replace("_", " ")
    return Claim(
        table=path.parent.name,
        row=without_settings(label) or stem,
        column=metric,
        value=value if abs(value) != float("inf") and value == value else None,  # noqa: PLR0124
        place=place,
        text=text,
        settings=settings,
        block=str(path.parent),
    )


def _chosen(stem: str) -> dict[str, str]:
    return {"chosen": "best"} if _BEST.search(stem) else {}


def _without_pairs(stem: str) -> str:
    """Take the settings out, so that `test_seed3` is no accuracy of 3."""
    return re.sub(
        r"(?<![A-Za-z])(?:seed|fold|ep(?:och)?|lr|T|alpha|beta|gamma)[_=-]?[\d.]+", "", stem
    )
