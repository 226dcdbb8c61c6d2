"""Edits of concepts, and questions about them, from the command line: what is told is what the network does."""

import csv
import json
import re
import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from tests.training.test_bottleneck_runs import images, taught, the_run  # noqa: F401  # a fixture
from tests.training.test_explanation_runs import PLAIN
from tests.training.test_runs import execute, runs_of
from tutelage.cli.root import app
from tutelage.concepts import Concept, ConceptSet, open_concepts, read_ratings, summarise, write
from tutelage.data import SyntheticImages
from tutelage.export.validated import open_validated
from tutelage.modalities import Embedding
from tutelage.recipe.networks import load_network
from tutelage.training.concept_edit import ConceptEdit, edit_effect
from tutelage.vlm import OpenClip

pytest.importorskip("open_clip")


@pytest.fixture(scope="module")
def bottleneck(taught, tmp_path_factory):  # noqa: F811
    folder = tmp_path_factory.mktemp("labo")
    shutil.copytree(taught, folder / "clip")
    recipe = images(folder)
    recipe["stages"] = {"labo": recipe["stages"]["labo"]}
    return folder, execute(folder, recipe)


@pytest.fixture(scope="module")
def slots(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cct")
    content = {
        "data": {"type": "SyntheticScenes", "samples": 16, "size": 16, "grid": 4, "scope": "both", "test": 0.25},
        "split": {"type": "OfficialSplit", "validation": 0.34},
        "seeds": [0],
        "network": {"type": "ConceptTransformer", "network": PLAIN, "places": [8, 8]},
        "train": {"epochs": 2, "batch_size": 8},
        "distiller": {"labels": {"type": "Labels"}},
        "stages": {"cct": {}, "plain": {"network": PLAIN}},
    }  # fmt: skip
    return folder, execute(folder, content)


def concepts(folder, *arguments):
    return CliRunner().invoke(app, ["concepts", *map(str, arguments), "--data", str(folder)])


def test_what_an_edit_of_a_bottleneck_does_is_shown_and_written(bottleneck, tmp_path):
    folder, experiment = bottleneck
    run = the_run(experiment, "labo")
    network, _ = load_network(run / "best.safetensors")
    name, label = network.network.names[0], network.network.class_names[1]
    done = concepts(
        folder,
        "edit",
        run,
        "--concept",
        name,
        "--class",
        label,
        "--weight",
        "-40",
        "--to",
        tmp_path / "edited",
    )
    assert done.exit_code == 0, done.output
    # By hand: the embeddings, and the formula of the bottleneck with one weight changed.
    said = np.load(run / "predictions-validation.npz")
    dataset = SyntheticImages(classes=3, samples=40, size=16).load()
    vectors = torch.from_numpy(
        Embedding(OpenClip(str(folder / "clip"))).fit_transform(dataset.inputs)
    )
    labels = dataset.labels[said["index"]]
    values = network.network.values(vectors[torch.from_numpy(said["index"])]).detach()
    weights = network.network.association.detach().clone()
    before = (100 * values @ weights.T).argmax(1).numpy()
    weights[1, 0] *= -40
    after = (100 * values @ weights.T).argmax(1).numpy()
    assert (before == said["logits"].argmax(1)).all() and (before != after).any()
    assert (
        f"accuracy {100 * (before == labels).mean():.2f} % before, {100 * (after == labels).mean():.2f} % after: "
        f"{(before != after).sum()} predicted otherwise, "
        f"{((before != labels) & (after == labels)).sum()} became right, "
        f"{((before == labels) & (after != labels)).sum()} became wrong"
    ) in done.output
    mine = labels == 1
    old, new = (100 * (said_now[mine] == 1).mean() for said_now in (before, after))
    assert f"{label}: recall {old:.1f} % before, {new:.1f} % after" in done.output
    edited, _ = load_network(tmp_path / "edited" / "best.safetensors")
    again = edited.on_tensor(vectors[torch.from_numpy(said["index"])]).logits.argmax(1)
    assert again.tolist() == after.tolist()


def test_slots_are_edited_by_what_they_contributed(slots):
    folder, experiment = slots
    run = runs_of(experiment)["cct", 0]
    opened = open_validated(run, None, folder, "cpu")
    inner = opened.asked.inner
    stream = next(iter(inner.concept_names))
    name = inner.concept_names[stream][1]
    removed = edit_effect(
        opened.asked, opened.index, [ConceptEdit(name, 0.0, stream=stream)], opened.class_names
    )
    same = edit_effect(
        opened.asked, opened.index, [ConceptEdit(name, 1.0, stream=stream)], opened.class_names
    )
    assert same.changed == 0 and np.abs(same.moved).max() < 1e-5
    x = opened.asked.inputs(opened.index)
    with torch.no_grad():
        without = inner.without(x, stream, 1)
        assert removed.after.tolist() == without.argmax(1).tolist()
        # Of one class alone, half as much: as the margins say.
        half = edit_effect(
            opened.asked,
            opened.index,
            [ConceptEdit(name, 0.5, opened.class_names[:1], stream)],
            opened.class_names,
        )
        logits = inner(x).logits
        logits[:, 0] = (logits[:, 0] + without[:, 0]) / 2
    assert half.after.tolist() == logits.argmax(1).tolist()
    done = concepts(
        folder, "edit", experiment, "--concept", name, "--stream", stream, "--weight", "0"
    )
    assert done.exit_code == 0, done.output
    assert f"cct, fold 0, seed 0: {len(opened.index)} validation samples" in done.output
    assert f"{removed.changed} predicted otherwise" in done.output
    refused = concepts(
        folder,
        "edit",
        run,
        "--concept",
        name,
        "--stream",
        stream,
        "--weight",
        "0",
        "--to",
        folder / "x",
    )
    assert refused.exit_code == 2 and "found ConceptTransformer" in refused.output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--concept", "lies stil", "--weight", "0"), "did you mean 'lies still'"),
        (
            ("--concept", "lies still", "--weight", "0", "--class", "x"),
            "--class: unknown class 'x'",
        ),
        (
            ("--concept", "lies still", "--weight", "0", "--stream", "y"),
            "--stream: unknown stream 'y'",
        ),
        (("--concept", "lies still"), "needed are --concept and --weight, or --table alone"),
        (
            ("--table", "{folder}/edits.csv"),
            "edits.csv: row 2: weight: found 'much', allowed is a number",
        ),
    ],
)
def test_mistakes_in_an_edit_are_sentences(bottleneck, arguments, said):
    folder, experiment = bottleneck
    (folder / "edits.csv").write_text("concept,class,weight\nsmall,,0\nsmall,,much\n")
    done = concepts(folder, "edit", experiment, *(text.format(folder=folder) for text in arguments))
    assert done.exit_code == 2 and said in done.output, done.output


def test_a_table_of_edits_is_carried_out_at_once_and_none_twice(bottleneck):
    folder, experiment = bottleneck
    opened = open_validated(experiment, None, folder, "cpu")
    one, other = opened.asked.inner.names[:2]
    (folder / "edits.csv").write_text(
        f"concept,class,weight\n{one},{opened.class_names[0]},0\n{other},,2\n"
    )
    done = concepts(folder, "edit", experiment, "--table", folder / "edits.csv")
    assert done.exit_code == 0, done.output
    assert f"{one!r} counts 0 times as much for {opened.class_names[0]}" in done.output
    (folder / "edits.csv").write_text(
        f"concept,class,weight\n{one},{opened.class_names[0]},0\n{one},,2\n"
    )
    assert (
        "is changed twice for one class"
        in concepts(folder, "edit", experiment, "--table", folder / "edits.csv").output
    )


def test_networks_without_concepts_and_several_with_are_refused(slots, bottleneck):
    folder, experiment = slots
    done = concepts(
        folder, "edit", runs_of(experiment)["plain", 0], "--concept", "x", "--weight", "0"
    )
    assert "WideResNet does not explain itself" in done.output
    done = concepts(folder, "edit", folder / "nowhere", "--concept", "x", "--weight", "0")
    assert done.exit_code == 2 and "no experiment here" in done.output


def test_a_sheet_comes_from_a_run_is_read_back_and_filters_a_set(bottleneck, tmp_path):
    folder, experiment = bottleneck
    sheet = tmp_path / "ask.csv"
    done = concepts(
        folder, "rate", experiment, sheet, "--samples", "2", "--concepts", "2", "--seed", "3"
    )
    assert done.exit_code == 0, done.output
    with sheet.open(encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    dataset = SyntheticImages(classes=3, samples=40, size=16).load()
    validation = set(
        np.load(the_run(experiment, "labo") / "predictions-validation.npz")["index"].tolist()
    )
    for row in rows:
        number = int(re.search(r"(\d+)\.png$", row["sample"])[1])
        seen = np.asarray(Image.open(row["sample"]).convert("RGB"))
        step = len(seen) // 16
        np.testing.assert_array_equal(
            seen[::step, ::step], dataset.inputs[number].transpose(1, 2, 0)
        )
        assert number in validation
        if row["question"] == "factuality":
            assert dataset.class_names[dataset.labels[number]] == row["class"]
    assert {row["question"] for row in rows} == {"factuality", "groundability"}
    poor = next(row["concept"] for row in rows if row["question"] == "factuality")
    for row in rows:
        row |= {"rater": "ann", "answer": "no" if row["concept"] == poor else "yes"}
    with sheet.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    read = CliRunner().invoke(
        app,
        [
            "concepts",
            "rated",
            str(sheet),
            "--of",
            str(folder / "few.json"),
            "--to",
            str(tmp_path / "good.json"),
        ],
    )
    assert read.exit_code == 0, read.output
    kept, whole = open_concepts(tmp_path / "good.json"), open_concepts(folder / "few.json")
    asked_of = {row["class"] for row in rows if row["concept"] == poor and row["class"]}
    grounded = any(row["concept"] == poor and not row["class"] for row in rows)
    for one in whole.concepts:
        left = (
            []
            if one.text == poor and grounded
            else [n for n in one.owners if one.text != poor or n not in asked_of]
        )
        if left:
            assert list(kept.concepts[kept.number(one.text)].owners) == left
        else:
            assert one.text not in kept.texts


def test_a_class_loses_a_poor_concept_and_all_lose_one_that_is_not_grounded(tmp_path):
    concepts_ = ConceptSet.join(
        "x", ["cat", "dog"], [Concept(t, ("cat", "dog")) for t in ("fur", "tail", "wings")]
    )
    write(concepts_, tmp_path / "set.json")
    sheet = tmp_path / "a.csv"
    sheet.write_text(
        "question,concept,class,sample,rater,answer\n"
        "factuality,fur,cat,1,ann,yes\nfactuality,fur,cat,2,ann,no\nfactuality,fur,dog,3,ann,no\n"
        "groundability,wings,,4,ann,no\nfactuality,tail,dog,3,ann,?\n"
    )
    arguments = [
        "concepts",
        "rated",
        str(sheet),
        "--of",
        str(tmp_path / "set.json"),
        "--to",
        str(tmp_path / "k.json"),
    ]
    done = CliRunner().invoke(app, arguments)
    assert "left out, does not hold where the encoder says so: 1" in done.output
    kept = open_concepts(tmp_path / "k.json")
    assert {one.text: one.owners for one in kept.concepts} == {
        "fur": ("cat",),
        "tail": ("cat", "dog"),
    }
    CliRunner().invoke(app, [*arguments, "--least", "0.6"])
    assert open_concepts(tmp_path / "k.json").texts == ("tail",)
    assert "needed are both" in CliRunner().invoke(app, arguments[:-2]).output


def test_a_page_asks_the_same_and_its_table_is_the_sheet(bottleneck, slots, tmp_path):
    for folder, experiment in (bottleneck, slots):
        page, sheet = tmp_path / "page.html", tmp_path / "sheet.csv"
        for out in (page, sheet):
            done = concepts(folder, "rate", experiment, out, "--samples", "2", "--concepts", "2")
            assert done.exit_code == 0, done.output
        html = page.read_text()
        told = json.loads(
            re.search(r'<script type="application/json" id="asked">(.*?)</script>', html, re.S)[1]
        )
        with sheet.open(encoding="utf-8-sig") as file:
            rows = list(csv.reader(file))
        assert told["columns"] == rows[0]
        assert [one["cells"][:3] for one in told["questions"]] == [row[:3] for row in rows[1:]]
        shown = set(re.findall(r'<template id="sample-(\d+)">data:image/png;base64,', html))
        assert shown == {one["sample"] for one in told["questions"]}
        assert not re.search(r'(?:src|href)="(?!#|data:)', html)
        # What the page saves is what `rated` reads.
        answered = [[*one["cells"], "ann", "yes"] for one in told["questions"]]
        with (tmp_path / "ann.csv").open("w", newline="") as file:
            csv.writer(file).writerows([told["columns"], *answered])
        assert all(one.mean == 1 for one in summarise(read_ratings([tmp_path / "ann.csv"])))
    assert (
        "allowed are .html and .csv"
        in concepts(folder, "rate", experiment, tmp_path / "x.pdf").output
    )
