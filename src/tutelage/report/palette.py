"""The colours, defined once: safe for colour-blind readers (Okabe and Ito 2008)."""

BLUE = "#0072b2"
VERMILLION = "#d55e00"
GREEN = "#009e73"
ORANGE = "#e69f00"
SKY = "#56b4e9"
PURPLE = "#cc79a7"
SERIES = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY)

INK = "#1c2431"
MUTED = "#5c6778"
LINE = "#d9dee6"
PAPER = "#fefefe"
THEMED = {INK: "--ink", MUTED: "--muted", LINE: "--line", PAPER: "--paper"}
"""Colours that follow the theme of the page; every other colour of a figure stays as it is."""

VERDICTS = {"better": BLUE, "worse": VERMILLION, "not distinguishable": "#8b95a5"}

ON_DARK, ON_LIGHT = "#ffffff", "#16202c"
"""Text inside coloured cells, which do not follow the theme."""

STYLE = {
    "svg.fonttype": "none",
    "text.parse_math": False,
    "svg.hashsalt": "tutelage",
    "font.family": "DejaVu Sans",
    "font.size": 12,
    "axes.titlesize": 13,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlecolor": INK,
    "axes.labelsize": 12,
    "axes.labelcolor": MUTED,
    "axes.edgecolor": LINE,
    "axes.linewidth": 1.0,
    "axes.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "figure.facecolor": "none",
    "savefig.facecolor": "none",
    "grid.color": LINE,
    "grid.linewidth": 0.8,
    "xtick.color": LINE,
    "ytick.color": LINE,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "xtick.labelsize": 11,
    "ytick.labelsize": 11,
    "xtick.major.size": 3,
    "ytick.major.size": 3,
    "text.color": INK,
    "lines.linewidth": 1.8,
    "legend.frameon": False,
    "legend.fontsize": 11.5,
    "legend.labelcolor": MUTED,
}
