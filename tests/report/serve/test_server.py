"""The live server shows what run folders say, to this machine alone, and nothing but reports."""

import http.client
import json
import threading
from dataclasses import replace

import pytest
from filelock import FileLock

from tests.report.fake import Fake, write
from tests.report.test_page import Page
from tests.study.studied import LADDER, write_study
from tutelage.errors import UserError
from tutelage.report.serve.server import ADDRESS, live_server


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("all") / "runs"
    write_study(folder / "ladder", base=replace(LADDER, running=(("base", "fold-1", 1),)))
    write(folder / "single", Fake(windows=20, epochs=2, stages=("alone", "base"), seeds=(0,)))
    (folder / "single" / "report").mkdir()
    (folder / "single" / "report" / "index.html").write_text("<p>the report</p>")
    (folder / "single" / "report" / "secret.safetensors").write_bytes(b"weights")
    (folder / "broken").mkdir()
    (folder / "broken" / "study.json").write_text("{")
    (folder.parent / "outside.html").write_text("outside")
    return folder


@pytest.fixture(scope="module")
def ask(runs):
    with live_server(runs) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        port = server.server_address[1]

        def asked(path, method="GET", **headers):
            line = http.client.HTTPConnection(ADDRESS, port, timeout=10)
            line.request(method, path, headers={"Host": f"{ADDRESS}:{port}"} | headers)
            answer = line.getresponse()
            return answer.status, answer.read().decode(), answer.headers

        yield asked
        server.shutdown()


def test_everything_in_the_folder_is_listed_with_its_runs(ask):
    status, page, headers = ask("/")
    assert status == 200 and "default-src 'none'" in headers["Content-Security-Policy"]
    read = Page(page)
    assert not read.wrong
    assert {"/ladder", "/single", "/broken", "/files/single/report/index.html"} <= set(read.links)
    assert "4 of 4" in page, "an experiment counts its runs"
    assert "study.json" in page, "what cannot be read is named"


def test_a_run_that_is_being_trained_shows_its_epoch_and_curve(ask, runs):
    (folder,) = (runs / "ladder" / "16-1_low").glob("fold-1/base/seed-1-*")
    record = json.loads((folder / "run.json").read_text())
    (folder / "metrics.jsonl").write_text("".join(
        json.dumps({"epoch": n, "step": n, "train": {"loss": 1.5 - n}, "validation": {"accuracy": share}}) + "\n"
        for n, share in enumerate((0.25, 0.625))
    ))  # fmt: skip
    locks = runs / ".cache" / "locks"
    locks.mkdir(parents=True)
    assert "Nothing is running" in ask("/ladder")[1]
    with FileLock(locks / record["fingerprint"]):
        page = ask("/ladder")[1]
    assert not Page(page).wrong
    assert "62.5" in page and "0.500" in page and "<polyline" in page and "16-1_low" in page


@pytest.mark.parametrize("path", [
    "/nothing", "/files/../outside.html", "/files/%2e%2e/outside.html",
    "/files/single/report/../../../outside.html", "/files/single/report/secret.safetensors",
    "/files/single/experiment.json", "/files", "/ladder/more",
])  # fmt: skip
def test_what_is_no_report_is_not_there(ask, path):
    assert ask(path)[0] == 404


def test_a_report_is_sent_as_it_is(ask):
    assert ask("/files/single/report/index.html")[:2] == (200, "<p>the report</p>")


def test_other_names_of_this_machine_and_other_methods_are_refused(ask):
    assert ask("/", Host="evil.example")[0] == 403
    assert ask("/", method="POST")[0] == 501


def test_mistakes_are_sentences(tmp_path, runs):
    with pytest.raises(UserError, match="no such folder"):
        live_server(tmp_path / "none")
    with live_server(runs) as server, pytest.raises(UserError, match="--port"):
        live_server(runs, server.server_address[1])
