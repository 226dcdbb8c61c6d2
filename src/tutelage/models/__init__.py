"""Networks: students and teachers on signals and images, with named features."""

from tutelage.models.on import On
from tutelage.models.size import Size, measure
from tutelage.models.tapped import Tapped
from tutelage.models.timm_model import Timm
from tutelage.models.wide_resnet import WideResNet

__all__ = ["On", "Size", "Tapped", "Timm", "WideResNet", "measure"]
