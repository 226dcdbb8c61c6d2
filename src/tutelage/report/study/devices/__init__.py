"""What the students of a study are worth on a device: quality of the shipped files against their flash."""

from tutelage.report.study.devices.data import DevicePoint, device_points
from tutelage.report.study.devices.figure import device_figure
from tutelage.report.study.devices.section import device_section

__all__ = ["DevicePoint", "device_figure", "device_points", "device_section"]
