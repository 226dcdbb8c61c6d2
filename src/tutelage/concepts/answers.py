"""Who answers a prompt: a language model behind litellm, or a file of answers that were given before."""

import codecs
import json
import os
import threading
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from tutelage.errors import UserError

_BLANK = codecs.BOM_UTF8 + b" \t\r\n"
_WAIT = 1.0  # seconds before the second attempt, doubled each time


@dataclass(frozen=True)
class Answer:
    """One answer.

    Args:
        prompt: what was asked.
        repeat: which asking of the same question this is, from 0.
        text: the answer; the line that was not finished when the length was used up is left out.
        model: who answered.
        when: second of the answer, ISO 8601, UTC.
    """

    prompt: str
    repeat: int
    text: str
    model: str
    when: str


class AnswerBook(Protocol):
    """Somebody who answers prompts."""

    def ask(self, prompt: str, repeat: int = 0) -> Answer:
        """Return the answer to a prompt; another ``repeat`` is another answer."""
        ...


@dataclass(frozen=True)
class LanguageModel:
    """A model of any provider that litellm knows, or of a local server that speaks OpenAI's protocol.

    Keys are read by litellm from the environment (``OPENAI_API_KEY`` and the like); they are no argument, so
    that none is written to a shell's history or to a file. A server named by ``api_base`` gets
    ``TUTELAGE_API_KEY`` if that is set, and never the key of a provider.

    Args:
        model: as litellm names it: ``openai/gpt-4o-mini``, ``anthropic/...``, ``ollama/qwen2.5``; a local
            server that speaks OpenAI's protocol: ``openai/<its name>`` with ``api_base``.
        api_base: address of a server, such as ``http://localhost:8080/v1``.
        temperature: of sampling; above 0, or repeats say the same.
        max_tokens: of one answer.
        seed: sent as seed + repeat to providers that know one.
        timeout: seconds to wait for an answer.
        attempts: how often an answer is tried before giving up.

    Raises:
        UserError: no temperature or length at all, or from ``ask``: litellm is not installed, or no answer.
    """

    model: str
    api_base: str | None = None
    temperature: float = 0.7
    max_tokens: int = 1024
    seed: int = 0
    timeout: float = 120.0
    attempts: int = 3

    def __post_init__(self) -> None:
        if self.temperature < 0 or self.max_tokens < 1 or self.attempts < 1 or self.timeout <= 0:
            raise UserError(
                f"model {self.model!r}: found temperature {self.temperature}, max_tokens {self.max_tokens}, "
                f"attempts {self.attempts} and timeout {self.timeout}, allowed are temperature >= 0, others > 0"
            )

    def ask(self, prompt: str, repeat: int = 0) -> Answer:
        """Return the model's answer to a prompt."""
        litellm = _litellm()
        definite = (
            litellm.AuthenticationError,
            litellm.PermissionDeniedError,
            litellm.BadRequestError,
            litellm.NotFoundError,
        )
        for attempt in range(1, self.attempts + 1):
            try:
                return self._once(litellm, prompt, repeat)
            except Exception as error:  # litellm raises many kinds, some of them not its own
                if attempt == self.attempts or isinstance(error, definite):
                    raise UserError(self._sentence(error)) from error
                time.sleep(_WAIT * 2 ** (attempt - 1))
        raise AssertionError("at least one attempt is made")

    def _once(self, litellm: Any, prompt: str, repeat: int) -> Answer:
        extra: dict[str, Any] = {}
        if self.api_base is not None:
            # A server of the user's own often needs no key, but the protocol does; a provider's key is not for it.
            extra = {
                "api_base": self.api_base,
                "api_key": os.environ.get("TUTELAGE_API_KEY", "none"),
            }
        reply = litellm.completion(
            model=self.model,
            messages=[{"role": "user", "content": prompt}],
            temperature=self.temperature,
            max_tokens=self.max_tokens,
            seed=self.seed + repeat,
            timeout=self.timeout,
            max_retries=0,
            drop_params=True,
            **extra,
        )
        choice = reply.choices[0]
        text = str(choice.message.content or "")
        if choice.finish_reason == "length":
            text = text.rpartition("\n")[0]
        when = datetime.now(UTC).isoformat(timespec="seconds")
        return Answer(prompt, repeat, text, self.model, when)

    def _sentence(self, error: Exception) -> str:
        place = f" at {self.api_base}" if self.api_base else ""
        reason = (" ".join(str(error).split()) or type(error).__name__)[:300]
        return f"model {self.model!r}{place}: no answer ({reason})"


@dataclass
class RecordedAnswers:
    """Answers in a file, one JSON object a line; what is not in it is asked and written down at once.

    A run that was interrupted goes on where it stopped, and the same file gives the same concepts without a
    model and without a network. Texts stay in the file; in memory is where each one begins.

    Args:
        path: the file; it need not exist if there is a model.
        model: who is asked for what is missing; None for nobody.

    Raises:
        UserError: a line is no answer, or from ``ask``: an answer is missing and there is no model.
    """

    path: Path
    model: AnswerBook | None = None
    _places: dict[tuple[str, int], int] = field(init=False, default_factory=dict)
    _lock: threading.Lock = field(init=False, default_factory=threading.Lock)

    def __post_init__(self) -> None:
        if not self.path.is_file():
            if self.model is None:
                raise UserError(
                    f"{self.path}: there is no such file of answers, and no model to ask"
                )
            return
        place = 0
        with self.path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if not line.endswith(b"\n") and not _is_json(line):
                    break  # the writer was killed in the middle of a line
                if line.strip(_BLANK):
                    answer = _parse(line, f"{self.path}: line {number}")
                    self._places[answer.prompt, answer.repeat] = place
                place += len(line)
        _mend(self.path, place)

    def ask(self, prompt: str, repeat: int = 0) -> Answer:
        """Return the recorded answer, else the model's, which is recorded."""
        known = self._places.get((prompt, repeat))
        if known is not None:
            with self.path.open("rb") as file:
                file.seek(known)
                return _parse(file.readline(), str(self.path))
        if self.model is None:
            raise UserError(
                f"{self.path}: found no answer number {repeat} to {prompt!r}, and there is no model to ask"
            )
        answer = self.model.ask(prompt, repeat)
        with self._lock:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("ab") as file:
                self._places[prompt, repeat] = file.tell()
                file.write(json.dumps(asdict(answer), ensure_ascii=False).encode() + b"\n")
        return answer


def _mend(path: Path, whole: int) -> None:
    """Cut an unfinished line off the end of a file, and end a finished one."""
    with path.open("r+b") as file:
        file.truncate(whole)
        file.seek(max(whole - 1, 0))
        if whole and file.read(1) != b"\n":  # as some editors end files
            file.write(b"\n")


def _parse(line: bytes, place: str) -> Answer:
    kinds: Mapping[str, type] = {
        one.name: int if one.name == "repeat" else str for one in fields(Answer)
    }
    try:
        content = json.loads(line.removeprefix(codecs.BOM_UTF8))
    except ValueError as error:
        raise UserError(f"{place}: not readable as JSON: {error}") from error
    if not isinstance(content, dict) or set(content) != set(kinds):
        raise UserError(f"{place}: found no answer, allowed are exactly {', '.join(kinds)}")
    for name, kind in kinds.items():
        if not isinstance(content[name], kind):
            raise UserError(f"{place}: {name}: found {content[name]!r}, allowed is {kind.__name__}")
    return Answer(**content)


def _is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except ValueError:
        return False
    return True


def _litellm() -> Any:
    # Otherwise litellm fetches a price list from the network when it is imported.
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    try:
        import litellm
    except ImportError as error:
        raise UserError(
            "litellm is not installed; it asks language models: pip install 'tutelage[concepts]'"
        ) from error
    litellm.suppress_debug_info = True
    litellm.telemetry = False
    return litellm
