"""What the project says of itself in several files is the same everywhere."""

import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]


def test_the_citation_is_of_this_version_and_licence():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert (cited["version"], cited["license"]) == (project["version"], project["license"])


def test_no_large_file_lies_in_the_repository():
    listed = (ROOT / ".gitignore").read_text().split()
    large = [
        path.relative_to(ROOT).as_posix()
        for path in ROOT.iterdir()
        if path.is_file() and path.stat().st_size > 2**20 and f"*{path.suffix}" not in listed
    ]
    assert not large
