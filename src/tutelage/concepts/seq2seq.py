"""Sentences to phrases by a sequence-to-sequence model of Hugging Face, such as a fine-tuned T5."""

import re
from pathlib import Path
from typing import Any

from tutelage.errors import UserError


class Seq2SeqSplitter:
    """Asks a T5-like model for the phrases of a sentence; greedy, so that a sentence always gives the same ones.

    Args:
        model: a local directory or the name of a model on the hub.
        prefix: what stands before the sentence; the default is the one LaBo's T5 was trained with.
        separators: characters between two phrases of the output.
        max_tokens: of the output.

    Raises:
        UserError: transformers is not installed, or there is no such model.

    Source:
        Yang et al. 2023, Language in a Bottle, arXiv:2211.11158; the prefix: repository YueYANG1996/LaBo,
        issue 22. Their fine-tuned weights have no licence and are not fetched here.
    """

    def __init__(
        self,
        model: str | Path,
        *,
        prefix: str = "extract concepts from sentence: ",
        separators: str = ";|\n",
        max_tokens: int = 128,
    ) -> None:
        try:
            from transformers import AutoModelForSeq2SeqLM, AutoTokenizer
        except ImportError as error:
            raise UserError(
                "transformers is not installed; it runs a splitter model: pip install 'tutelage[clip]'"
            ) from error
        try:
            self._tokenizer: Any = AutoTokenizer.from_pretrained(str(model))
            self._model: Any = AutoModelForSeq2SeqLM.from_pretrained(str(model)).eval()
        except (OSError, ValueError) as error:
            reason = " ".join(str(error).split())[:200]
            raise UserError(f"splitter {str(model)!r}: found no such model ({reason})") from error
        self._prefix = prefix
        self._separators = re.compile(f"[{re.escape(separators)}]")
        self._max_tokens = max_tokens

    def __call__(self, sentence: str) -> list[str]:
        """Return the phrases of a sentence."""
        tokens = self._tokenizer(self._prefix + sentence, return_tensors="pt", truncation=True)
        output = self._model.generate(
            input_ids=tokens["input_ids"],
            attention_mask=tokens["attention_mask"],
            do_sample=False,
            num_beams=1,
            max_new_tokens=self._max_tokens,
        )
        text = self._tokenizer.decode(output[0], skip_special_tokens=True)
        parts = (" ".join(part.split()) for part in self._separators.split(text))
        return [part for part in parts if part]
