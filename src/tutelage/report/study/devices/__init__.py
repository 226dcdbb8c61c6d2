"""What the students of a study are worth on a device: quality of the shipped files against their flash."""

from tutelage.report.study.devices.data import DevicePoint, device_points
from tutelage.report.study.devices.figure import device_figure

__all__ = ["DevicePoint", "device_figure", "device_points"]
