"""Networks: students and teachers on signals and images, with named features."""

from tutelage.models.angular_head import AngularHead
from tutelage.models.answered import Answered
from tutelage.models.channel_selection import ChannelSelection
from tutelage.models.concept_bottleneck import ConceptBottleneck
from tutelage.models.concept_transformer import ConceptTransformer
from tutelage.models.distilled_clip import DistilledClip
from tutelage.models.latent_workspace import LatentWorkspace
from tutelage.models.linear_probe import LinearProbe
from tutelage.models.mobilenet import MobileNetV2
from tutelage.models.network import Network, as_network, network_class
from tutelage.models.on import On
from tutelage.models.prompted_clip import PromptedClip
from tutelage.models.quantised import Quantised
from tutelage.models.resnet import CifarResNet, ResNet
from tutelage.models.reused_head import ReusedHead
from tutelage.models.separable_net import SeparableNet
from tutelage.models.shufflenet import ShuffleNetV1, ShuffleNetV2
from tutelage.models.size import Size, measure
from tutelage.models.tapped import Tapped
from tutelage.models.timm_model import Timm
from tutelage.models.tinier_har import TinierHAR
from tutelage.models.vgg import VGG
from tutelage.models.wide_resnet import WideResNet

__all__ = [
    "AngularHead",
    "Answered",
    "CifarResNet",
    "ChannelSelection",
    "ConceptBottleneck",
    "ConceptTransformer",
    "DistilledClip",
    "LatentWorkspace",
    "LinearProbe",
    "MobileNetV2",
    "Network",
    "On",
    "PromptedClip",
    "Quantised",
    "ResNet",
    "ReusedHead",
    "SeparableNet",
    "ShuffleNetV1",
    "ShuffleNetV2",
    "Size",
    "Tapped",
    "TinierHAR",
    "Timm",
    "VGG",
    "WideResNet",
    "as_network",
    "measure",
    "network_class",
]
