"""Files for devices, made and run with the tools that devices use."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.export.small import evidence, facts, network
from tutelage import checkpoint
from tutelage.errors import UserError
from tutelage.export import load_model
from tutelage.export.formats import FORMATS, chosen_formats
from tutelage.export.micro import run_micro
from tutelage.export.package import Shipped, refuse_existing, write_package

pytest.importorskip("litert_torch")
pytest.importorskip("tflite_micro")


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Shipped:
    on = network()
    folder = tmp_path_factory.mktemp("shipped") / "student"
    return write_package(on, facts(), evidence(on), folder, lambda _: "card\n", accept_loss=True)


def test_every_file_is_there_and_its_hash_is_told(package: Shipped) -> None:
    names = {path.name for path in package.folder.iterdir()}
    files = {kind.file for kind in FORMATS.values()}
    assert names == {*files, "model.json", "parity.json", "card.md"}
    told = json.loads((package.folder / "model.json").read_text())["sha256"]
    assert told == {name: checkpoint.digest(package.folder / name) for name in files}


@pytest.mark.parametrize("name", ["model.onnx", "model.tflite"])
def test_float_files_say_what_the_network_says(package: Shipped, name: str) -> None:
    shown = evidence(network())
    model = load_model(package.folder / name)
    assert np.abs(model.logits(shown.windows) - shown.logits).max() < 1e-4
    assert package.parity[name].exact
    assert replace(model.facts, quantisation=None) == facts()
    assert [p.number for p in model.predict(shown.windows)] == shown.logits.argmax(1).tolist()


def test_the_interpreter_of_microcontrollers_says_what_litert_says(package: Shipped) -> None:
    path = package.folder / "model.int8.tflite"
    shown = evidence(network())
    micro = run_micro(path, shown.windows)
    model = load_model(path)
    litert = model.logits(shown.windows)
    steps = np.abs(micro.logits - litert).max() / model.facts.step
    # Kernels of servers and of microcontrollers round sums in another order: a few codes, not the answer.
    assert steps <= 4.01
    assert micro.arena.total == micro.arena.head + micro.arena.tail
    assert micro.arena == package.cost["model.int8.tflite"].arena
    told = json.loads((package.folder / "parity.json").read_text())["files"]["model.int8.tflite"]
    said = micro.logits.argmax(1)
    assert told["micro"]["n"] == told["micro"]["of"] == len(shown.labels)
    assert told["micro"]["largest_steps"] == pytest.approx(steps, abs=0.01)
    assert told["micro"]["equal_litert"] == (said == litert.argmax(1)).mean()
    assert told["micro"]["equal"] == (said == shown.logits.argmax(1)).mean()
    assert told["micro"]["accuracy"] == (said == shown.labels).mean()
    assert set(package.cost["model.int8.tflite"].milliseconds) == {"litert", "tflm"}


def test_a_slow_interpreter_is_asked_about_some_windows_evenly_spaced(package: Shipped) -> None:
    path, windows = package.folder / "model.int8.tflite", evidence(network()).windows
    whole = run_micro(path, windows)
    some = run_micro(path, windows, seconds=10e-3 * whole.milliseconds)
    assert 1 <= len(some.index) < len(windows)
    assert set(np.diff(some.index, append=some.index[-1] + 1)) != {0}
    assert np.ptp(np.diff(some.index)) <= 1
    assert np.array_equal(some.logits, whole.logits[some.index])


def test_the_c_array_is_the_int8_file(package: Shipped) -> None:
    text = (package.folder / "model.h").read_text()
    array = text[text.index("tutelage_model[") :]
    code = bytes(int(byte, 16) for byte in re.findall(r"0x([0-9a-f]{2}),", array))
    assert code == (package.folder / "model.int8.tflite").read_bytes()
    coding = package.facts.quantisation
    assert f"#define TUTELAGE_INPUT_SCALE {coding.input_scale!r}f" in text
    assert f"#define TUTELAGE_OUTPUT_ZERO_POINT ({coding.output_zero_point})" in text
    assert r"a \042quoted\042 one" in text
    assert f"tutelage_model_size = {len(code)};" in text


def test_what_is_coded_by_hand_from_the_header_is_what_the_file_reads(package: Shipped) -> None:
    """A firmware engineer has only the header: scale and zero point must be enough."""
    model = load_model(package.folder / "model.int8.tflite")
    coding = package.facts.quantisation
    window = evidence(network()).windows[:1]
    codes = np.clip(np.round(window / coding.input_scale) + coding.input_zero_point, -128, 127)
    assert np.array_equal(model.codes(window), codes.astype(np.int8))


def test_an_edited_file_is_refused(package: Shipped, tmp_path: Path) -> None:
    for name in ("model.onnx", "model.tflite"):
        content = (package.folder / name).read_bytes()
        assert b"walk" in content
        path = tmp_path / name
        path.write_bytes(content.replace(b"walk", b"fall"))
        with pytest.raises(UserError, match="metadata were edited"):
            load_model(path)


@pytest.mark.parametrize("name", ["a.onnx", "a.tflite"])
def test_what_is_no_model_is_a_sentence(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    with pytest.raises(UserError, match="cannot be read"):
        load_model(path)
    path.write_bytes(b"not a model at all")
    with pytest.raises(UserError, match="is no "):
        load_model(path)
    path.write_bytes(b"\x20\0\0\0TFL3" + bytes(30))
    with pytest.raises(UserError):
        load_model(path)


def test_inputs_of_another_shape_are_refused(package: Shipped) -> None:
    model = load_model(package.folder / "model.onnx")
    with pytest.raises(
        UserError, match=r"found inputs of \[3, 63\]; it reads \[3, 64\] \(x \(g\), y"
    ):
        model.logits(np.zeros((2, 3, 63)))
    with pytest.raises(UserError, match="window 1 holds NaN"):
        model.logits(np.stack([np.zeros((3, 64)), np.full((3, 64), np.nan)]))


def test_a_float_file_that_is_another_model_is_refused_and_nothing_appears(tmp_path: Path) -> None:
    on = network()
    other = evidence(network(seed=1))
    with pytest.raises(UserError, match=r"model\.onnx: a score differs by"):
        write_package(on, facts(), other, tmp_path / "out", lambda _: "", formats=["onnx"])
    assert list(tmp_path.iterdir()) == []


def test_a_folder_is_never_overwritten_without_force(tmp_path: Path) -> None:
    on = network()
    (tmp_path / "mine").touch()
    with pytest.raises(UserError, match="is there already; --force"):
        write_package(on, facts(), evidence(on), tmp_path, lambda _: "", formats=["onnx"])
    with pytest.raises(UserError, match="is no folder of tutelage ship, so --force does not"):
        refuse_existing(tmp_path, force=True)
    with pytest.raises(UserError, match="is no folder of tutelage ship"):
        refuse_existing(tmp_path / "mine", force=True)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_force_replaces_a_package(tmp_path: Path) -> None:
    on, given = network(), evidence(network())
    made = [
        write_package(
            on, facts(), given, tmp_path / "a", lambda _, text=text: text, formats=["onnx"], force=True
        )
        for text in ("first", "second")
    ]  # fmt: skip
    assert (made[1].folder / "card.md").read_text() == "second"


def test_no_test_windows_prove_nothing(tmp_path: Path) -> None:
    on = network()
    with pytest.raises(UserError, match="the test split has no windows"):
        write_package(on, facts(), evidence(on, 0), tmp_path / "a", lambda _: "", formats=["onnx"])


def test_formats_bring_what_they_are_made_from() -> None:
    assert chosen_formats(["c"]) == ("tflite", "tflite-int8", "c")
    assert chosen_formats([]) == tuple(FORMATS)
    with pytest.raises(UserError, match=r"unknown format 'tflight'; did you mean 'tflite'"):
        chosen_formats(["tflight"])
