"""What the site needs besides the pages: files outside docs/ that pages link to, the commands, the schemas.

No address of a repository is written anywhere, so a link that leaves docs/ leads to a copy inside the site
(`files/...`; Markdown as `.md.txt`, which browsers show and which is no page). A link to a folder leads to its
results.md; where there is none, its text stays and says the path.
"""

import json
import posixpath
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
LINK = re.compile(r"\[([^\]]*)\]\((?!https?:|#)([^)\s]+)\)")


def outside(page: str, link: str) -> str | None:
    """Return the path in the repository of what a page of docs/ links to; None where that is in docs/ itself."""
    target = link.partition("#")[0]
    path = posixpath.normpath(posixpath.join("docs", posixpath.dirname(page), target))
    return None if path == "docs" or path.startswith("docs/") else path


def copied(path: str) -> Path | None:
    """Return the file that stands for a path outside docs/: itself, or the results of a folder; or None.

    Raises:
        FileNotFoundError: there is no such path.
    """
    full = ROOT / path
    if not full.exists():
        raise FileNotFoundError(f"a page of docs/ links to {path}, which does not exist")
    if full.is_file():
        return full
    results = full / "results.md"
    return results if results.is_file() else None


def place(file: Path) -> str:
    """Return where a copy lies in the site."""
    path = file.relative_to(ROOT).as_posix()
    return f"files/{path}.txt" if path.endswith((".md", ".py")) else f"files/{path}"


def inside(text: str, page: str) -> str:
    """Return a page with the links that leave docs/ turned to the copies."""

    def turned(match: re.Match[str]) -> str:
        path = outside(page, match[2])
        if path is None:
            return match[0]
        file = copied(path)
        if file is None:
            return f"{match[1]} (`{path}` in the repository)"
        copy = posixpath.relpath(place(file), posixpath.dirname(page) or ".")
        return f"[{match[1]}]({copy})"

    return LINK.sub(turned, text)


def linked(docs: Path) -> set[Path]:
    """Return every file outside docs/ that a page links to."""
    found = set()
    for page in docs.rglob("*.md"):
        name = page.relative_to(docs).as_posix()
        for _, link in LINK.findall(page.read_text()):
            path = outside(name, link)
            file = None if path is None else copied(path)
            found |= set() if file is None else {file}
    return found


def schemas() -> Mapping[str, Any]:
    """Return the JSON schemas by name."""
    from tutelage.recipe.editor_schema import recipe_schema
    from tutelage.study.editor_schema import study_schema

    return {"recipe": recipe_schema(), "study": study_schema()}


def commands() -> str:
    """Return the help of every command as Markdown."""
    import click
    from typer.cli import get_docs_for_click
    from typer.main import get_command

    from tutelage.cli.root import app

    command = get_command(app)
    context = click.Context(command, info_name="tutelage")
    text: str = get_docs_for_click(obj=command, ctx=context, name="tutelage")
    return text.partition("\n")[2]


def on_files(files: Any, config: Any) -> Any:
    """Add the copies and the schemas."""
    from mkdocs.structure.files import File

    for file in sorted(linked(Path(config.docs_dir))):
        files.append(File.generated(config, place(file), abs_src_path=str(file)))
    for name, schema in schemas().items():
        content = json.dumps(schema, indent=1)
        files.append(File.generated(config, f"files/{name}.schema.json", content=content))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Turn links to the copies; write the commands where they belong."""
    name = page.file.src_uri
    if name == "reference/commands.md":
        return markdown.replace("<!-- commands -->", commands())
    return inside(markdown, name)
