"""The section of a study's page on what its students are worth on a device."""

from tutelage.report.section import Figure, Section
from tutelage.report.study.devices.data import DevicePoint, device_points
from tutelage.report.study.devices.figure import device_figure
from tutelage.report.table import Row, Table, TableCell, TableColumn, counted, left, stated
from tutelage.study.ledger import StudyLedger

__all__ = ["device_section"]

_CAPTION = (
    "A ring is the mean over folds of the mean over seeds, its bar the 95 % interval for these folds trained "
    "again, a small dot one run; a filled ring is on the front. Other people are not in the bar; one that "
    "meets the border goes on."
)


def device_section(study: StudyLedger) -> Section | None:
    """Build the section on the packages below ``shipped`` in the study's folder; None where there are none."""
    points = device_points(study)
    drawing = device_figure(points)
    if drawing is None:
        return None
    figure = Figure(drawing, "Macro-F1 against flash", _CAPTION)
    return Section(
        "devices", "On the device", "Device", figures=(figure,), tables=(_table(points),)
    )


def _table(points: tuple[DevicePoint, ...]) -> Table:
    columns = (
        left("cell"), left("stage"), TableColumn("runs", "files"), TableColumn("flash", "flash, bytes"),
        TableColumn("arena", "arena, bytes"), TableColumn("f1", "macro-F1 in %"),
    )  # fmt: skip
    rows = tuple(_row(point) for point in points)
    return Table(
        "devices", "Int8 TensorFlow Lite files on the test subjects of their runs.", columns, rows
    )


def _row(point: DevicePoint) -> Row:
    arena = TableCell("-", "") if point.arena is None else counted(point.arena)
    quality = TableCell(f"{100 * point.mean:.1f}", 100 * point.mean)
    runs, flash = counted(len(point.values)), counted(point.flash)
    return Row((stated(point.cell), stated(point.stage), runs, flash, arena, quality))
