"""Pages that Tutelage writes, checked by axe-core in headless Chromium: two widths, light and dark.

npm pack axe-core && tar xzf axe-core-*.tgz
python -m benchmarks.accessibility.run --axe package/axe.min.js runs/*/report/index.html
"""

import argparse
import html
import json
import re
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
WIDTHS = (1280, 420)
THEMES = ("light", "dark")
BAD = ("serious", "critical")
_RUN = """
<script>%s</script>
<script>
for (const fold of document.querySelectorAll("details")) fold.open = true;
window.addEventListener("load", () => axe.run(document).then(found => {
  const wide = document.documentElement.scrollWidth - document.documentElement.clientWidth;
  document.body.innerHTML = "<pre id=axe>" + JSON.stringify({wide, violations: found.violations.map(
    v => ({id: v.id, impact: v.impact, help: v.help, nodes: v.nodes.length,
           first: v.nodes[0].html.slice(0, 160)}))})
    .replace(/&/g, "&amp;").replace(/</g, "&lt;") + "</pre>";
}));
</script>
"""


def checked(page: Path, axe: str, width: int, theme: str, chromium: str) -> Mapping[str, Any]:
    """Return what axe found on a page, and by how many pixels it is wider than the window."""
    text = page.read_text()
    # A frame is as narrow as it is told to be; a headless window is not.
    inner = text.replace("</body>", _RUN % axe + "</body>")
    with tempfile.TemporaryDirectory() as name:
        copy = Path(name) / "page.html"
        copy.write_text(inner)
        outer = Path(name) / "frame.html"
        outer.write_text(
            f'<!doctype html><iframe src="page.html" style="width:{width}px;height:3000px;border:0"></iframe>'
            "<script>const wait = setInterval(() => { const d = document.querySelector('iframe').contentDocument;"
            "const p = d && d.getElementById('axe'); if (p) { clearInterval(wait);"
            "document.body.innerHTML = ''; document.body.append(p); } }, 100)</script>"
        )
        command = [
            chromium, "--headless", "--no-sandbox", "--disable-gpu", "--allow-file-access-from-files",
            "--virtual-time-budget=60000", f"--blink-settings=preferredColorScheme={0 if theme == 'dark' else 1}",
            "--window-size=1400,3000", "--dump-dom", outer.as_uri(),
        ]  # fmt: skip
        dom = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = re.search(r'<pre id="?axe"?>(.*?)</pre>', dom, re.S)
    if found is None:
        raise SystemExit(f"{page}: axe did not answer at {width} px, {theme}")
    told: Mapping[str, Any] = json.loads(html.unescape(found[1]))
    return told


def name_of(page: Path) -> str:
    """Return what a page is called in the results: of a report the folder it is about."""
    return page.parent.parent.name if page.parent.name == "report" else page.stem


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("pages", type=Path, nargs="+")
    parser.add_argument("--axe", type=Path, required=True, help="axe.min.js of axe-core")
    parser.add_argument("--chromium", default="chromium")
    found = parser.parse_args(arguments)
    axe, bad = found.axe.read_text(), 0
    lines = [
        "`python -m benchmarks.accessibility.run --axe package/axe.min.js PAGES`",
        "",
        f"axe-core {re.search(r'axe v([0-9.]+)', axe)[1]}, headless Chromium; kinds of violations of any impact, "
        "and pixels that the page is wider than its window.",
        "",
        "| page | window, px | theme | violations | too wide |",
        "|---|---|---|---|---|",
    ]
    for page in found.pages:
        for width in WIDTHS:
            for theme in THEMES:
                told = checked(page, axe, width, theme, found.chromium)
                print(
                    f"{page} {width} px {theme}: {len(told['violations'])} kinds, {told['wide']} px too wide"
                )
                bad += told["wide"] > 0
                kinds = (
                    ", ".join(f"{one['id']} ({one['impact']})" for one in told["violations"]) or "0"
                )
                lines.append(f"| {name_of(page)} | {width} | {theme} | {kinds} | {told['wide']} |")
                for one in told["violations"]:
                    bad += one["impact"] in BAD
                    print(
                        f"  {one['impact']}: {one['id']} x {one['nodes']}: {one['help']}\n    {one['first']}"
                    )
    (HERE / "results.md").write_text("\n".join(lines) + "\n")
    raise SystemExit(f"{bad} serious or critical findings or pages that are too wide" if bad else 0)


if __name__ == "__main__":
    main()
