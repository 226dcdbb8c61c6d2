"""Networks: students and teachers on signals and images, with named features."""

from tutelage.models.latent_workspace import LatentWorkspace
from tutelage.models.mobilenet import MobileNetV2
from tutelage.models.on import On
from tutelage.models.resnet import CifarResNet, ResNet
from tutelage.models.reused_head import ReusedHead
from tutelage.models.shufflenet import ShuffleNetV1, ShuffleNetV2
from tutelage.models.size import Size, measure
from tutelage.models.tapped import Tapped
from tutelage.models.timm_model import Timm
from tutelage.models.vgg import VGG
from tutelage.models.wide_resnet import WideResNet

__all__ = [
    "CifarResNet",
    "LatentWorkspace",
    "MobileNetV2",
    "On",
    "ResNet",
    "ReusedHead",
    "ShuffleNetV1",
    "ShuffleNetV2",
    "Size",
    "Tapped",
    "Timm",
    "VGG",
    "WideResNet",
    "measure",
]
