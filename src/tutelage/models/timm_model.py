"""Image backbones of timm by name."""

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from tutelage.errors import UserError, library, near, one_line
from tutelage.models.network import Network
from tutelage.models.tapped import Tapped
from tutelage.types import Output


class Timm(Network):
    """A timm model by name; stages become ``stage1``.. where timm knows them, other layers by path.

    Args:
        channels: input channels.
        classes: output classes.
        name: timm's model name, for example ``resnet18``.
        pretrained: load timm's published weights (needs network or timm's cache).
        taps: feature name -> layer path; ``None`` takes timm's own stage list.
        size: images of another size are resized to this height and width (bilinear with antialiasing), in training
            and in every evaluation; None: they are taken as they are.
        options: further arguments of ``timm.create_model``, such as ``img_size``, ``depth`` or ``drop_path_rate``.

    Shapes:
        images [B, channels, height, width] -> logits [B, classes].

    Raises:
        UserError: timm is not installed, knows no such model, or refuses an option.
    """

    def __init__(
        self,
        channels: int,
        classes: int,
        *,
        name: str,
        pretrained: bool = False,
        taps: Mapping[str, str] | None = None,
        size: int | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.size = size
        timm = library("timm", "network.type Timm", "vision")
        if not timm.is_model(name):
            raise UserError(f"name: timm has no model {name!r}{near(name, timm.list_models())}")
        given = {"pretrained": pretrained, "in_chans": channels, "num_classes": classes}
        try:
            model: Any = timm.create_model(name, **given, **(options or {}))
        except TypeError as error:
            raise UserError(f"options: timm's {name!r} refuses them ({error})") from error
        except Exception as error:  # other people's weights can make it raise nearly anything
            raise UserError(f"name: timm cannot make {name!r} so ({one_line(error)})") from error
        if taps is None:
            stages = [info["module"] for info in said(model, "feature_info", [])]
            layers = dict(model.named_modules())
            taps = {f"stage{i}": path for i, path in enumerate(stages, 1) if path in layers}
        self.tapped = Tapped(model, taps)

    def forward(self, x: Tensor) -> Output:
        """Return logits and features of standardised images."""
        logits, features = self._seen(self.model, x)
        return Output(logits, features)

    @property
    def model(self) -> nn.Module:
        """The module of timm itself."""
        return self.tapped.module

    def features(self, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Return timm's own last feature, before its head, and the tapped ones; maps with channels first."""
        model: Any = self.model
        last, features = self._seen(model.forward_features, x)
        return self._first(last), features

    def _seen(
        self, call: Callable[[Tensor], Tensor], x: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        answer, features = self.tapped.through(call, self._sized(x))
        return answer, {name: self._first(value) for name, value in features.items()}

    def _first(self, feature: Tensor) -> Tensor:
        """Return a feature with channels first."""
        last = feature.ndim == 4 and channels_last(self.model)
        return feature.permute(0, 3, 1, 2) if last else feature

    def _sized(self, x: Tensor) -> Tensor:
        if self.size is None or x.shape[2:] == (self.size, self.size):
            return x
        return F.interpolate(
            x, (self.size, self.size), mode="bilinear", align_corners=False, antialias=True
        )


def said(model: nn.Module, name: str, default: Any) -> Any:
    """Return what a model of timm says of itself under a name that not all of them have."""
    return getattr(model, name, default)


def channels_last(model: nn.Module) -> bool:
    """Return whether the maps of a model of timm have their channels last."""
    return bool(said(model, "output_fmt", "NCHW") == "NHWC")
