"""A clean workbook of results as people keep them, to plant defects in."""

import re
import zipfile
from pathlib import Path

import numpy as np

GROUPS = ("PI+Sig", "GAF+Sig")
METHODS = ("Base", "Ann", "Annsp")
TEACHERS = ("WRN16-1", "WRN16-3")
SEEDS = range(5)
WINDOWS = (372, 392, 359, 344, 406)
CLASSES = ("lying", "sitting", "walking")


def book():
    """Return sheet -> rows; every number follows from another sheet or stands alone."""
    random = np.random.default_rng(5)
    runs = [["group", "method", "teacher", "seed", "accuracy"]]
    summary = [["PAMAP2, w100, T=4"], ["group", "method", "WRN16-1", None, "WRN16-3", None],
               [None, None, "mean", "SD", "mean", "SD"]]  # fmt: skip
    for group in GROUPS:
        for method in METHODS:
            row = [group if method == "Base" else None, method]
            for teacher in TEACHERS:
                values = np.round(random.normal(86, 0.9, len(SEEDS)), 2)
                runs += [
                    [group, method, teacher, seed, float(v)]
                    for seed, v in zip(SEEDS, values, strict=True)
                ]
                row += [round(float(values.mean()), 2), round(float(values.std(ddof=1)), 2)]
            summary.append(row)
    folds = [["method", *(f"fold {i + 1}" for i in range(5)), "mean"], ["windows", *WINDOWS]]
    for method in METHODS:
        values = np.round(random.normal(84, 3, 5), 2)
        folds.append([method, *map(float, values), round(float(values.mean()), 2)])
    alone = [["Single networks (mean of 3)"], ["network", "signal", "image", "mixed"]]
    for name in ("Sig", "PI", "GAF", "Two"):
        alone.append(
            [
                name,
                *(f"{random.normal(85, 2):.2f} ± {random.uniform(0.4, 1.1):.2f}" for _ in range(3)),
            ]
        )
    corruption = [["method", "clean", "noise level 0", "noise level 1", "noise level 2"]]
    corruption += [[m, 86.5 + i, 86.5 + i, 79.25 - i, 70.25 + i] for i, m in enumerate(METHODS)]
    confusion = [
        ["class", *CLASSES],
        ["lying", 40, 2, 0],
        ["sitting", 3, 37, 1],
        ["walking", 0, 1, 44],
    ]
    weights = [["weights on GENEActiv, w500"], ["method", "lambda", "accuracy"]]
    weights += [[m, w, round(float(random.normal(70, 1)), 2)] for m in METHODS for w in (0.3, 0.7)]
    return {"Summary": summary, "Runs": runs, "Folds": folds, "Alone": alone,
            "Corruption": corruption, "Classes": confusion, "Weights": weights}  # fmt: skip


def write(path: Path, sheets) -> Path:
    import openpyxl

    workbook = openpyxl.Workbook()
    workbook.remove(workbook.active)
    for name, rows in sheets.items():
        sheet = workbook.create_sheet(name)
        for row in rows:
            sheet.append(row)
    workbook.save(path)
    return path


def break_styles(path: Path) -> Path:
    """Let every cell name a style that the workbook does not have, as some programs leave behind."""
    with zipfile.ZipFile(path) as old:
        parts = {name: old.read(name) for name in old.namelist()}
    for name, part in parts.items():
        if name.startswith("xl/worksheets/sheet"):
            text = re.sub(r'(<c r="[A-Z]+\d+")( s="\d+")?', r'\1 s="4711"', part.decode())
            parts[name] = text.encode()
    with zipfile.ZipFile(path, "w") as new:
        for name, part in parts.items():
            new.writestr(name, part)
    return path
