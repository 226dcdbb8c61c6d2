"""An audit of a study's folder, or of tables, logs and names that others left."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tutelage.audit.checks import OF_CLAIMS, OF_STUDIES
from tutelage.audit.findings import Audit, Finding, collect, listed
from tutelage.audit.imports import read_claims
from tutelage.audit.imports.claim import Claim, by_table
from tutelage.errors import UserError
from tutelage.study.ledger import StudyLedger, read_study

_SAID = ("identical to the last bit", "is listed", "stands for", "predicts one class only")
"""Notes of the ledger that are findings here, with their places."""


def audit_study(folder: Path) -> Audit:
    """Look for every known defect in the folder of a study, or of an experiment.

    Raises:
        UserError: there is no study, or ``study.json`` cannot be read.
    """
    checks = tuple(dict.fromkeys(check.__name__ for check in OF_STUDIES))
    try:
        study = read_study(folder)
    except UserError as error:
        if (folder / "study.json").is_file() or not (folder / "experiment.json").is_file():
            raise
        refused = Finding("contradiction", "experiment.json", str(error))
        return Audit(str(folder), "One experiment, which cannot be read", checks[:1], (refused,))
    notes = tuple(text for text in study.findings if not any(word in text for word in _SAID))
    return Audit(str(folder), _size(study), checks, collect(OF_STUDIES, study), notes)


def audit_files(paths: Sequence[Path], means: Mapping[str, str] | None = None) -> Audit:
    """Look for every known defect in tables, logs and names of files.

    Args:
        paths: files, and folders of them; tables that belong together are best audited together.
        means: what an ambiguous setting stands for; see :func:`~tutelage.audit.imports.read_claims`.

    Raises:
        UserError: a file cannot be read, or holds no result.
    """
    claims = read_claims(paths, means)
    unclear = sorted(
        {key for claim in claims for key in claim.settings} & {"alpha", "beta", "gamma", "lambda"}
    )
    notes = tuple(f"Nobody says what {key} weighs; --means {key}=NAME names it." for key in unclear)
    notes += tuple(_marked(claims))
    tables = len(by_table(claims))
    size = f"{len(claims)} numbers in {tables} table{'s' * (tables != 1)}"
    checks = tuple(check.__name__ for check in OF_CLAIMS)
    return Audit(", ".join(map(str, paths)), size, checks, collect(OF_CLAIMS, claims), notes)


def _marked(claims: Sequence[Claim]) -> Iterator[str]:
    """Yield a sentence for each mark behind numbers: what it means stands in no cell."""
    marks: dict[str, list[Claim]] = {}
    for claim in claims:
        if claim.mark:
            marks.setdefault(claim.mark, []).append(claim)
    for mark, marked in marks.items():
        places = listed(claim.place for claim in marked)
        count = f"{len(marked)} number{'s' * (len(marked) != 1)}"
        yield f"{count} marked {mark} ({places}): no cell says what that means."


def _size(study: StudyLedger) -> str:
    runs = len({run.fingerprint for experiment in study.experiments for run in experiment.runs})
    cells = len(study.cells)
    return f"{cells} cell{'s' * (cells != 1)}, {runs} different complete runs"
