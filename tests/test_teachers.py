import numpy as np
import pytest
import torch

from tutelage import seals
from tutelage.batches import Samples
from tutelage.errors import UserError
from tutelage.models import On, WideResNet
from tutelage.objectives import Distiller, Labels, MergedSimilarity, PerTeacher, Weighted
from tutelage.teachers import CachedTeachers, LiveTeachers, cache_teacher
from tutelage.terms import SimilarityMap, SoftTargets
from tutelage.types import Clock, Needs, Output, View

COUNT = 60


@pytest.fixture
def samples():
    random = torch.Generator().manual_seed(0)
    return Samples(
        {
            "signal": torch.randn(COUNT, 3, 32, generator=random),
            "image": torch.randint(0, 255, (COUNT, 3, 12, 12), generator=random, dtype=torch.uint8),
        },
        torch.randint(0, 4, (COUNT,), generator=random),
        tuple("abcd"),
    )


def network(modality, dimensions, **more):
    torch.manual_seed(dimensions)
    on = On(modality, WideResNet(3, 4, dimensions=dimensions, **more), [0.5] * 3, [2.0] * 3)
    return on.eval()


@pytest.fixture
def teachers():
    return {"sig": network("signal", 1), "img": network("image", 2, depth=10)}


def distiller():
    mix = {"sig": 0.4, "img": 0.6}
    return Distiller(
        {
            "labels": Weighted(Labels()),
            "soft": Weighted(PerTeacher(SoftTargets(4.0))),
            "sp": Weighted(PerTeacher(SimilarityMap(["stage2"]))),
            "merged": Weighted(MergedSimilarity(mix), 100.0),
        }
    )


def cached(samples, teachers, index, needs, folder):
    return CachedTeachers(
        {
            name: cache_teacher(
                t, samples, index, needs, folder=folder, modality=t.modality, batch_size=16
            )
            for name, t in teachers.items()
        }
    )


def test_cached_and_live_teachers_give_the_same_losses(samples, teachers, tmp_path):
    objectives = distiller()
    needs = objectives.needs()
    train = torch.randperm(COUNT, generator=torch.Generator().manual_seed(1))[:50]
    stored = cached(samples, teachers, train, needs, tmp_path)
    live = LiveTeachers(teachers, needs)
    student = network("signal", 1)
    for ids in (train[:8], train[[40, 3, 17, 9, 11]], train[30:]):
        batch = samples.take(ids)
        out = student(batch)
        a = objectives(View(out, live(batch), batch, Clock()))
        b = objectives(View(out, stored(batch), batch, Clock()))
        for name in a.parts:
            torch.testing.assert_close(a.parts[name], b.parts[name], rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(a.total, b.total, rtol=1e-5, atol=1e-5)


def test_a_small_gram_is_stored_whatever_the_size_of_the_features(
    samples, teachers, tmp_path, monkeypatch
):
    def names(folder):
        entry = cache_teacher(
            teachers["img"], samples, torch.arange(50), Needs(grams=frozenset({"stage3", "tiny"})),
            folder=folder, modality="image",
        )  # fmt: skip
        return {path.name for path in entry.glob("*.npy")} - {"logits.npy", "rows.npy"}

    run = type(teachers["img"].network).forward

    def with_tiny(network, x):
        out = run(network, x)
        return Output(out.logits, dict(out.features) | {"tiny": out.logits[:, :2]})

    monkeypatch.setattr(type(teachers["img"].network), "forward", with_tiny)
    assert names(tmp_path / "a") == {"triangle-stage3.npy", "triangle-tiny.npy"}
    monkeypatch.setattr("tutelage.teachers._SMALL", 4 * 50**2 - 1)
    assert names(tmp_path / "b") == {"triangle-stage3.npy", "feature-tiny.npy"}


def test_grams_are_stored_where_they_are_smaller(samples, teachers, tmp_path):
    needs = Needs(grams=frozenset({"stage1", "embedding"}), features=frozenset({"stage3"}))
    entry = cache_teacher(
        teachers["img"], samples, torch.arange(50), needs, folder=tmp_path, modality="image"
    )
    names = {path.name for path in entry.glob("*.npy")}
    # stage1 has 16*12*12 features per sample, more than the 50 samples; stage3 is asked for whole.
    expected = {"logits.npy", "rows.npy", "triangle-stage1.npy", "feature-stage3.npy"}
    embedding = {"triangle-embedding.npy"}  # 64 > 50
    assert names == expected | embedding
    output = CachedTeachers({"img": entry})(samples.take(torch.tensor([4, 2])))["img"]
    assert set(output.grams) == {"stage1", "embedding"}
    assert output.features["stage3"].shape == (2, 64, 3, 3)


def test_a_triangle_says_what_the_whole_matrix_said(samples, teachers, tmp_path, monkeypatch):
    monkeypatch.setattr("tutelage.teachers._BLOCK", 16)  # 50 rows: three blocks and a part of one
    index = torch.randperm(COUNT, generator=torch.Generator().manual_seed(2))[:50]
    made = {"folder": tmp_path, "modality": "image"}
    taps = frozenset({"stage2"})
    entry = cache_teacher(teachers["img"], samples, index, Needs(grams=taps), **made)
    features = cache_teacher(teachers["img"], samples, index, Needs(features=taps), **made)
    rows = np.load(features / "feature-stage2.npy").reshape(50, -1).astype(np.float64)
    read = CachedTeachers({"img": entry})
    for ids in ([0, 1, 2], [49, 3, 17, 31], [20, 20]):
        found = read(samples.take(index[ids]))["img"].grams["stage2"]
        np.testing.assert_allclose(found.numpy(), rows[ids] @ rows[ids].T, rtol=1e-5)
        assert torch.equal(found, found.T)
    assert (entry / "triangle-stage2.npy").stat().st_size == 128 + 4 * 50 * 51 // 2

    earlier = tmp_path / "earlier"  # as the version before wrote it
    earlier.mkdir()
    for name in ("logits.npy", "rows.npy"):
        (earlier / name).write_bytes((entry / name).read_bytes())
    everything = read(samples.take(index))["img"].grams["stage2"]
    np.save(earlier / "gram-stage2.npy", everything.numpy())
    batch = samples.take(index[[5, 44, 8]])
    whole = CachedTeachers({"img": earlier})(batch)["img"].grams["stage2"]
    assert torch.equal(whole, read(batch)["img"].grams["stage2"])


def test_a_second_call_reads_and_any_change_makes_anew(samples, teachers, tmp_path, monkeypatch):
    needs, train = Needs(), torch.arange(50)
    teacher = teachers["sig"]

    def entry(**change):
        arguments = {"folder": tmp_path, "modality": "signal"} | change
        return cache_teacher(teacher, samples, arguments.pop("index", train), needs, **arguments)

    first = entry()
    monkeypatch.setattr(teacher.network, "forward", lambda x: pytest.fail("evaluated again"))
    assert entry() == first
    monkeypatch.undo()
    assert entry(index=torch.arange(49)) != first
    with torch.no_grad():
        teacher.network.head.bias += 1e-3
    changed = entry()
    assert changed != first
    samples.inputs["signal"][3, 0, 0] += 1
    assert entry() not in (first, changed)


def test_an_unfinished_entry_is_never_read(samples, teachers, tmp_path):
    teacher = teachers["sig"]
    calls = []

    def stop(done, total):
        calls.append(done)
        if len(calls) == 2:
            raise KeyboardInterrupt

    def make(**more):
        return cache_teacher(
            teacher,
            samples,
            torch.arange(50),
            Needs(),
            folder=tmp_path,
            modality="signal",
            batch_size=16,
            **more,
        )

    with pytest.raises(KeyboardInterrupt):
        make(progress=stop)
    assert not [path for path in tmp_path.iterdir() if path.is_dir()]
    logits = np.load(make() / "logits.npy")
    with torch.no_grad():
        expected = teacher(samples.take(torch.arange(50))).logits
    np.testing.assert_allclose(logits, expected.numpy(), rtol=1e-5, atol=1e-6)


DAMAGES = {
    "logits, one byte": ("logits.npy", lambda b: b[:-3] + bytes([b[-3] ^ 1]) + b[-2:]),
    "logits, empty": ("logits.npy", lambda b: b""),
    "logits, cut": ("logits.npy", lambda b: b[:-4]),
    "rows, one byte": ("rows.npy", lambda b: b[:-8] + bytes([b[-8] ^ 1]) + b[-7:]),
    "record, gone": ("complete.json", None),
    "record, empty": ("complete.json", lambda b: b""),
    "record, no object": ("complete.json", lambda b: b"[]"),
    "logits, gone": ("logits.npy", None),
    "seal, empty": ("logits.npy.seal", lambda b: b""),
}


# an entry of an earlier version shows only what can be seen without a checksum
@pytest.mark.parametrize(
    ("damage", "sealed"),
    [(name, True) for name in DAMAGES]
    + [(name, False) for name in DAMAGES if "byte" not in name and "seal" not in name],
)
def test_a_damaged_entry_is_made_again_with_one_line(
    samples, teachers, tmp_path, caplog, damage, sealed
):
    index = torch.arange(0, COUNT, 2)

    def entry():
        t = teachers["sig"]
        return cache_teacher(
            t, samples, index, Needs(), folder=tmp_path, modality=t.modality, batch_size=16
        )

    folder = entry()
    sound = {path.name: path.read_bytes() for path in folder.glob("*.npy")}
    name, change = DAMAGES[damage]
    if not sealed:
        for path in folder.glob("*.seal"):
            path.unlink()
    path = folder / name
    path.unlink() if change is None else path.write_bytes(change(path.read_bytes()))
    seals._checked.clear()  # as in a new process
    assert entry() == folder
    assert {path.name: path.read_bytes() for path in folder.glob("*.npy")} == sound
    assert [r.getMessage() for r in caplog.records] == [f"{folder}: is damaged, and is made again"]
    entry()
    assert len(caplog.records) == 1


def test_samples_outside_the_split_and_missing_taps_are_refused(samples, teachers, tmp_path):
    stored = cached(samples, teachers, torch.arange(50), Needs(), tmp_path)
    with pytest.raises(UserError, match=r"teachers\.sig: sample 55 is not in the cached split"):
        stored(samples.take(torch.tensor([1, 55])))
    live = LiveTeachers(teachers, Needs(features=frozenset({"stage9"})))
    with pytest.raises(UserError, match=r"teachers\.sig: no feature 'stage9'"):
        live(samples.take(torch.arange(2)))


def test_live_teachers_are_frozen(samples, teachers):
    before = {k: v.clone() for k, v in teachers["img"].state_dict().items()}
    teachers["img"].train()
    live = LiveTeachers(teachers, Needs())
    output = live(samples.take(torch.arange(8)))["img"]
    assert not output.logits.requires_grad
    assert not any(p.requires_grad for p in teachers["img"].parameters())
    for name, value in teachers["img"].state_dict().items():
        assert torch.equal(value, before[name]), name
