"""Dual encoders of images or signals and text, published or trained here; and encoders of signals alone.

``__all__`` names the sources a recipe may state: ``encoder: {type: OpenClip, model: ViT-L-14, weights: openai}``.
"""

from tutelage.vlm.base import DualEncoder as DualEncoder
from tutelage.vlm.base import EncoderSource as EncoderSource
from tutelage.vlm.hugging_face import HuggingFace
from tutelage.vlm.open_clip import OpenClip
from tutelage.vlm.signal_text import SignalText
from tutelage.vlm.wearable import WearableEncoder

__all__ = ["OpenClip", "HuggingFace", "SignalText", "WearableEncoder"]
