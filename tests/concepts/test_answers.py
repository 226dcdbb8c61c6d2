import json
import socket

import pytest
from typer.testing import CliRunner

from tests.concepts.server import serving
from tutelage.cli.root import app
from tutelage.concepts import LanguageModel, RecordedAnswers, answers, read
from tutelage.concepts.answers import Answer
from tutelage.errors import UserError


@pytest.fixture(autouse=True)
def only_this_machine(monkeypatch):
    real = socket.socket.connect

    def connect(self, address):
        assert not isinstance(address, tuple) or address[0] == "127.0.0.1", address
        return real(self, address)

    monkeypatch.setattr(socket.socket, "connect", connect)
    monkeypatch.setenv("OPENAI_API_KEY", "a provider's key")
    monkeypatch.setattr(answers, "_WAIT", 0.01)


class Echo:
    """Says what it was asked, and how often it was asked."""

    def __init__(self):
        self.count = 0

    def ask(self, prompt, repeat=0):
        self.count += 1
        return Answer(prompt, repeat, f"{prompt} {repeat}", "echo", "2020-02-02T02:02:02+00:00")


def test_a_local_server_is_asked_through_litellm():
    with serving(lambda prompt: f"{prompt}\nlong tail") as server:
        model = LanguageModel("openai/tiny", server.address, temperature=0.5, max_tokens=77, seed=3)
        answer = model.ask("pointed ears", repeat=2)
    assert (answer.text, answer.model) == ("pointed ears\nlong tail", "openai/tiny")
    assert answer.when.endswith("+00:00")
    (asked,) = server.asked
    assert asked["messages"] == [{"role": "user", "content": "pointed ears"}]
    assert (asked["model"], asked["temperature"]) == ("tiny", 0.5)
    assert (asked["max_tokens"], asked["seed"]) == (77, 5)
    assert server.keys == ["Bearer none"]  # the provider's key stays here


def test_a_key_for_the_local_server_may_be_given(monkeypatch):
    monkeypatch.setenv("TUTELAGE_API_KEY", "mine")
    with serving(lambda _: "x") as server:
        LanguageModel("openai/tiny", server.address).ask("y")
    assert server.keys == ["Bearer mine"]


def test_a_line_that_was_cut_off_is_left_out():
    with serving(lambda _: "long tail\npointed ea") as server:
        server.finish = "length"
        assert LanguageModel("openai/tiny", server.address).ask("x").text == "long tail"


def test_a_busy_server_is_asked_again_and_a_definite_no_is_not():
    with serving(lambda _: "x") as server:
        model = LanguageModel("openai/tiny", server.address)
        server.failures = 2
        assert model.ask("y").text == "x"
        assert len(server.asked) == 3
        server.failures = 3
        with pytest.raises(UserError, match=r"'openai/tiny' at http.*: no answer \(.*try later"):
            model.ask("y")
        server.failures, server.status = 1, 401
        with pytest.raises(UserError, match="no answer"):
            model.ask("y")
        assert len(server.asked) == 7


def test_nobody_there():
    with serving(lambda _: "x") as server:
        pass
    with pytest.raises(UserError, match="no answer"):
        LanguageModel("openai/tiny", server.address, attempts=1, timeout=2).ask("x")
    with pytest.raises(UserError, match="allowed are"):
        LanguageModel("openai/tiny", attempts=0)


def test_answers_are_recorded_at_once_and_not_asked_again(tmp_path):
    path, echo = tmp_path / "deep" / "answers.jsonl", Echo()
    first = RecordedAnswers(path, echo)
    assert first.ask("a").text == "a 0"
    assert first.ask("a", 1).text == "a 1"
    assert first.ask("a").text == "a 0"
    assert len(path.read_text().splitlines()) == echo.count == 2
    later = RecordedAnswers(path)
    assert later.ask("a", 1) == first.ask("a", 1)
    with pytest.raises(UserError, match="no answer number 2 to 'a', and there is no model"):
        later.ask("a", 2)


def test_a_writer_that_was_killed_in_a_line_leaves_a_usable_file(tmp_path):
    path = tmp_path / "answers.jsonl"
    RecordedAnswers(path, Echo()).ask("a")
    whole = path.read_text()
    path.write_text(whole + '{"prompt": "b", "rep')
    again = RecordedAnswers(path, Echo())
    assert again.ask("b").text == "b 0"
    assert path.read_text().startswith(whole)
    assert RecordedAnswers(path).ask("b").text == "b 0"
    path.write_text(path.read_text().rstrip("\n"))  # an editor that ends files so
    assert RecordedAnswers(path).ask("b").text == "b 0"


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("{", "line 2: not readable"),
        ("{}", "line 2: found no answer"),
        (
            json.dumps({"prompt": "x", "repeat": "0", "text": "", "model": "", "when": ""}),
            "line 2: repeat: found '0', allowed is int",
        ),
    ],
)
def test_lines_that_are_no_answers(tmp_path, line, sentence):
    path = tmp_path / "answers.jsonl"
    RecordedAnswers(path, Echo()).ask("a")
    path.write_text(path.read_text() + line + "\n")
    with pytest.raises(UserError, match=sentence):
        RecordedAnswers(path)


def test_no_file_and_no_model(tmp_path):
    with pytest.raises(UserError, match="no such file of answers"):
        RecordedAnswers(tmp_path / "none.jsonl")


def test_the_command_asks_records_and_repeats_itself_without_a_model(tmp_path):
    lines = {
        "cat": "1. Pointed ears\n2. A cat's whiskers",
        "dog": "1. floppy ears\n2. pointed ears.",
    }
    with serving(lambda prompt: lines["cat" if "cat" in prompt else "dog"]) as server:
        common = ["--classes", "cat, dog", "--answers", str(tmp_path / "answers.jsonl")]
        model = ["--model", "openai/tiny", "--api-base", server.address, "--parallel", "4"]
        asked = CliRunner().invoke(
            app, ["concepts", "generate", str(tmp_path / "a.json"), *common, *model]
        )
    assert asked.exit_code == 0, asked.output
    assert "2 concepts of 2 classes" in asked.output
    assert "left out, class name: 1" in asked.output
    found = read(tmp_path / "a.json")
    assert found.texts == ("pointed ears", "floppy ears")
    assert found.concepts[0].owners == ("cat", "dog")
    origin = found.concepts[0].origins[0]
    assert (origin.source, origin.model, origin.sentence) == (
        "model",
        "openai/tiny",
        "Pointed ears",
    )
    assert "visible parts of a cat" in origin.prompt
    assert len(server.asked) == 8  # two classes, four questions
    again = CliRunner().invoke(app, ["concepts", "generate", str(tmp_path / "b.json"), *common])
    assert again.exit_code == 0, again.output
    assert read(tmp_path / "b.json").concepts == found.concepts
