"""Image backbones of timm by name."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from tutelage.errors import UserError, near
from tutelage.models.tapped import Tapped
from tutelage.types import Output


class Timm(nn.Module):
    """A timm model by name; stages become ``stage1``.. where timm knows them, other layers by path.

    Args:
        channels: input channels.
        classes: output classes.
        name: timm's model name, for example ``resnet18``.
        pretrained: load timm's published weights (needs network or timm's cache).
        taps: feature name -> layer path; ``None`` takes timm's own stage list.

    Shapes:
        images [B, channels, height, width] -> logits [B, classes].

    Raises:
        UserError: timm is not installed, or knows no such model.
    """

    def __init__(
        self,
        channels: int,
        classes: int,
        *,
        name: str,
        pretrained: bool = False,
        taps: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__()
        timm = _import_timm()
        if not timm.is_model(name):
            raise UserError(f"name: timm has no model {name!r}{near(name, timm.list_models())}")
        model: Any = timm.create_model(
            name, pretrained=pretrained, in_chans=channels, num_classes=classes
        )
        if taps is None:
            stages = [info["module"] for info in getattr(model, "feature_info", [])]
            layers = dict(model.named_modules())
            taps = {f"stage{i}": path for i, path in enumerate(stages, 1) if path in layers}
        self.tapped = Tapped(model, taps)

    def forward(self, x: Tensor) -> Output:
        """Return logits and features of standardised images."""
        output: Output = self.tapped(x)
        return output


def _import_timm() -> Any:
    try:
        import timm
    except ImportError as error:
        raise UserError(
            f"network.type Timm needs timm: pip install 'tutelage[vision]' ({error})"
        ) from error
    return timm
