"""Could these teachers help? What they know together, beside the student alone."""

from tutelage.report.context import ReportContext
from tutelage.report.panels.teachers import data, figures, tables, words
from tutelage.report.section import Figure, Section
from tutelage.report.wording import listed

INTRO = (
    "What teachers know of validation samples, alone and together: soft targets can carry no more than their "
    "mixture knows. The student is not asked here, only what it was taught by."
)


def section(context: ReportContext) -> Section | None:
    """Build the section; none where no student has teachers whose predictions were kept."""
    found = data.surveys(context.experiment)
    if not found:
        return None
    shown = tuple(
        Figure(
            figures.gains(each, f"teachers-{number}"),
            f"{listed(list(each.teachers))}, for {listed(list(each.learners))}",
            " ".join(words.sentences(each)),
        )
        for number, each in enumerate(found, 1)
    )
    made = tuple(table for n, each in enumerate(found, 1) for table in tables.tables(each, n))
    folded = tuple(table.name for table in made if not table.name.startswith("teachers"))
    return Section(
        "teachers", "What the teachers know", "Teachers", INTRO, shown, made, folded, notes=(words.CHOSEN,)
    )  # fmt: skip
