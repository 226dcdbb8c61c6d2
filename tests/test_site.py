"""Pages of the site: each has its place, and no link of them leads nowhere."""

import importlib.util
import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md"))
LINK = re.compile(r"\]\((?!https?:|mailto:)([^)\s#]+)")

spec = importlib.util.spec_from_file_location("site_hooks", DOCS / "site_hooks.py")
hooks = importlib.util.module_from_spec(spec)
spec.loader.exec_module(hooks)


class Loader(yaml.SafeLoader):
    """YAML as a mapping, whatever tags mkdocs knows."""


def entries(nav):
    """Yield every page of a navigation."""
    for entry in nav:
        if isinstance(entry, str):
            yield entry
        else:
            for value in entry.values():
                yield from entries(value if isinstance(value, list) else [value])


def test_every_page_has_one_place_in_the_navigation():
    content = yaml.load((ROOT / "mkdocs.yml").read_text(), Loader)
    named = list(entries(content["nav"]))
    assert sorted(named) == PAGES, "add the page to nav of mkdocs.yml"
    assert content["strict"] is True


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_to_files(page):
    text = (DOCS / page).read_text()
    missing = [
        link
        for link in LINK.findall(text)
        if not (DOCS / page).parent.joinpath(link).exists() and not link.startswith("../files/")
    ]
    assert not missing


def test_links_out_of_the_pages_become_copies_or_words():
    made = hooks.inside(
        "[card](x.md) [script](../../examples/plain_loop.py) [runs](../../benchmarks/when) "
        "[all](../../recipes) [there](https://example.org)",
        "methods/labels.md",
    )
    assert made == (
        "[card](x.md) [script](../files/examples/plain_loop.py.txt) "
        "[runs](../files/benchmarks/when/results.md.txt) all (`recipes` in the repository) "
        "[there](https://example.org)"
    )
    with pytest.raises(FileNotFoundError, match=r"nothing\.py"):
        hooks.inside("[it](../nothing.py)", "index.md")
    assert ROOT / "examples" / "plain_loop.py" in hooks.linked(DOCS)


def test_the_commands_are_those_of_the_program():
    said = hooks.commands()
    for command in ("tutelage run", "tutelage study plan", "tutelage ship", "tutelage concepts"):
        assert f"`{command}`" in said


def test_docstrings_say_what_markdown_keeps():
    """Only "Examples:" becomes code in the reference; a text that begins with > becomes a quotation."""
    lost = re.compile(r"^\s+(Example:|[a-z_]+: >.*)$", re.MULTILINE)
    found = {path.name: lost.findall(path.read_text()) for path in (ROOT / "src").rglob("*.py")}
    assert not {name: lines for name, lines in found.items() if lines}
