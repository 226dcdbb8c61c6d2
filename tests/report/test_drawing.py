"""A figure on a page is lighter than the file of matplotlib, and says the same numbers."""

import io
import re

from tutelage.report.drawing.canvas import canvas, finish


def test_numbers_in_a_text_are_whole_and_those_of_places_short():
    with canvas(300, 200) as figure:
        axes = figure.subplots()
        axes.plot([0, 1 / 3, 1], [0.0001234, 0.0005678, 0.0009999])
        axes.set_title("0.0004567 of 1.23456")
        axes.set_yticks([0.0002, 0.00075], ["0.0002", "0.00075"])
        stream = io.StringIO()
        figure.savefig(stream, format="svg")
        drawing = finish(figure, "small", "a label", ("x",), [])
    texts = re.findall(r">([^<>]*\d[^<>]*)</text>", drawing.svg)
    assert {"0.0004567 of 1.23456", "0.0002", "0.00075"} <= set(texts)
    assert re.search(r' d="[^"]*\d\.\d{3}', stream.getvalue())
    assert not re.search(r' d="[^"]*\d\.\d{3}', drawing.svg)
