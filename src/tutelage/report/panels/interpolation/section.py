"""Between two students; only after ``tutelage look``."""

from tutelage.report.context import ReportContext
from tutelage.report.panels.interpolation.figures import interpolation_figure
from tutelage.report.section import Figure, Section
from tutelage.runs.interpolation import read_interpolation
from tutelage.runs.schema import UnreadableError

CAPTION = (
    "Weights on the line through two students of one fold and seed: eta 0 and 1 are the students, the rest lies "
    "between and beyond them; statistics of batch normalisation are estimated anew on training samples at every "
    "place. Lines: mean over pairs; bands: lowest to highest pair. A valley that is wide around a student is "
    "taken for a sign that it generalises; a hill between them says that they are different solutions. Neither is "
    "proof."
)


def section(context: ReportContext) -> Section | None:
    """Build the section; none where nobody has looked.

    Raises:
        UnreadableError: the file is damaged, or of other runs.
    """
    found = read_interpolation(context.experiment.folder)
    if found is None:
        return None
    known = {run.fingerprint for run in context.experiment.runs}
    if not {one for pair in found.header.pairs for one in (pair.first, pair.second)} <= known:
        raise UnreadableError(
            f"{context.experiment.folder / 'interpolation.npz'}: is of other runs; tutelage look makes it anew"
        )
    title = f"From {found.header.first} to {found.header.second}"
    figure = Figure(interpolation_figure(found), title, CAPTION)
    return Section("interpolation", "Between two students", "Between", figures=(figure,))
