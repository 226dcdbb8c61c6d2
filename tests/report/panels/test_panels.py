"""A panel is one folder and one line: nothing else knows it, and no panel knows another."""

import ast
from pathlib import Path

from tests.report.fake import Fake, write
from tutelage.report import page, panels
from tutelage.report.context import ReportContext
from tutelage.report.headline import headline
from tutelage.runs.ledger import read_experiment

FOLDER = Path(panels.__file__).parent
SMALL = {"stages": ("sig", "alone", "base"), "seeds": (0,), "windows": 12, "epochs": 2}


def test_every_folder_is_in_the_order_of_the_page_once():
    folders = {path.parent.name for path in FOLDER.glob("*/section.py")}
    assert folders == set(panels.PANELS) and len(panels.PANELS) == len(folders)


def test_no_panel_imports_another():
    for path in FOLDER.glob("*/*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and str(node.module).startswith(panels.__name__):
                assert str(node.module).split(".")[3:4] == [path.parent.name], path


def test_a_new_figure_is_a_folder(tmp_path, monkeypatch):
    (tmp_path / "added").mkdir()
    (tmp_path / "added" / "section.py").write_text(
        "from tutelage.report.section import Section\n"
        "def section(context):\n"
        "    return Section('added', 'An added panel', 'Added', notes=(context.experiment.title,))\n"
    )
    monkeypatch.setattr(panels, "__path__", [*panels.__path__, str(tmp_path)])
    context = ReportContext(read_experiment(write(tmp_path / "run", Fake(**SMALL))))
    built = panels.sections(context, ["runs", "added", "trust"])
    assert [section.key for section in built] == ["runs", "added"]  # nobody weighed a teacher
    html = page.render(page.Page(context.experiment, headline(context), built))
    assert '<a href="#added">Added</a>' in html and "An added panel" in html
