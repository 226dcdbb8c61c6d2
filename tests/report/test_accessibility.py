"""The rules of ``make accessibility`` that need no browser."""

import re
import threading
import urllib.request
from html.parser import HTMLParser
from importlib.resources import files
from itertools import pairwise

import pytest

from tests.report.fake import Fake, write
from tests.study.studied import write_study
from tutelage.report import write_report, write_study_report
from tutelage.report.serve.server import live_server


class Outline(HTMLParser):
    """What a screen reader goes by."""

    def __init__(self, html):
        super().__init__()
        self.tags = []
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def all(self, *names):
        return [attributes for tag, attributes in self.tags if tag in names]


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    report = write_report(write(folder / "one", Fake(missing=(("base", "fold-2", 2),))))
    study = write_study_report(write_study(folder / "study"), cells=False)
    found = {"report": report.read_text(), "study": study.read_text()}
    with live_server(folder) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        for name in ("", "one", "study"):
            address = f"http://127.0.0.1:{server.server_address[1]}/{name}"
            with urllib.request.urlopen(address) as answer:
                found[f"serve/{name}"] = answer.read().decode()
        server.shutdown()
    return found


PAGES = ("report", "study", "serve/", "serve/one", "serve/study")


@pytest.mark.parametrize("name", PAGES)
def test_a_page_says_its_language_title_and_parts(pages, name):
    page = Outline(pages[name])
    assert page.all("html") == [{"lang": "en"}]
    assert len(page.all("h1")) == len(page.all("main")) == len(page.all("title")) == 1
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1 and all(after - before <= 1 for before, after in pairwise(levels))


@pytest.mark.parametrize("name", PAGES)
def test_every_header_of_a_table_says_what_it_heads(pages, name):
    page = Outline(pages[name])
    assert page.all("th") and all(one.get("scope") for one in page.all("th"))


@pytest.mark.parametrize("name", PAGES)
def test_what_scrolls_can_be_reached_and_has_a_name(pages, name):
    page = Outline(pages[name])
    scrolling = [one for one in page.all("div") if one.get("class") == "scroll"] + page.all("pre")
    assert scrolling
    for one in scrolling:
        assert one["tabindex"] == "0" and one["role"] in ("img", "region") and one["aria-label"]


@pytest.mark.parametrize("name", PAGES)
def test_ids_are_unique_and_links_lead_somewhere(pages, name):
    page = Outline(pages[name])
    ids = [one["id"] for _, one in page.tags if "id" in one]
    assert len(ids) == len(set(ids))
    inside = {one["href"][1:] for one in page.all("a") if one.get("href", "").startswith("#")}
    assert inside <= set(ids)


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_never_read_again_against_its_readers_will(pages, name):
    page = Outline(pages[name])
    assert not any(one.get("http-equiv") == "refresh" for one in page.all("meta"))
    stops = [one for one in page.all("input") if one.get("id") == "still"]
    assert len(stops) == len(page.all("script")) == int(name.startswith("serve"))


def luminance(colour):
    """Relative luminance of WCAG 2.2."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(a, b):
    high, low = sorted((luminance(a), luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_the_formula_is_that_of_wcag():
    assert contrast("#000000", "#ffffff") == 21
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.005)


def colours():
    """The colours of the page by scheme."""
    css = (files("tutelage.report") / "templates" / "style.css").read_text()
    light, dark, paper = (
        dict(re.findall(r"--([\w-]+): (#[0-9a-f]{3,6});", block))
        for block in re.findall(r":root \{(.*?)\}", css, re.S)
    )
    full = {
        name: "#" + "".join(2 * letter for letter in colour[1:]) if len(colour) == 4 else colour
        for name, colour in paper.items()
    }
    return {"light": light, "dark": light | dark, "print": light | full}


TEXTS = [
    *((text, on) for text in ("ink", "muted") for on in ("paper", "wash", "unsure-wash")),
    ("accent", "paper"), ("accent", "wash"), ("good", "good-wash"), ("bad", "bad-wash"), ("bad", "paper"),
    ("bad", "wash"), ("alarm", "alarm-wash"), ("alarm", "paper"), ("ink", "bad-wash"), ("ink", "alarm-wash"),
]  # fmt: skip


@pytest.mark.parametrize("scheme", ["light", "dark", "print"])
def test_every_text_stands_out_from_what_it_is_on(scheme):
    known = colours()[scheme]
    weak = {
        (text, on): round(contrast(known[text], known[on]), 2)
        for text, on in TEXTS
        if contrast(known[text], known[on]) < 4.5
    }
    assert not weak
