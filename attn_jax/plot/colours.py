"""The palette: one meaning, one colour, in every picture.

Attention runs from paper white to a dark plum, its lightness falling evenly, so it reads in grey
print as well. The categorical colours are Okabe and Ito's and a brown, which colour-blind readers
tell apart.
"""

import numpy as np
from matplotlib.colors import Colormap, LinearSegmentedColormap, ListedColormap

INK = "#1f2328"
MUTED = "#59636e"
RULE = "#d0d7de"
PAPER = "#ffffff"
# Text on a dark cell; unlike paper, no theme may darken it.
ON_DARK = "#fdfdfd"
MASKED = "#e4e8ec"

RIGHT = "#0072b2"
WRONG = "#d55e00"
TRUTH = "#009e73"
SPLITS = {"train": "#0072b2", "validation": "#d55e00", "test": "#009e73"}
SERIES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#6b2f0a")

# What replaces each of these on dark paper.
DARK = {
    INK: "#e6edf3",
    MUTED: "#9198a1",
    RULE: "#3d444d",
    PAPER: "#0d1117",
    RIGHT: "#6cb8f0",
    WRONG: "#ff9a52",
    TRUTH: "#3fcf9f",
}

# Anchors of the ramp, each beside its CIE lightness L* as a share of white's.
_RAMP = (
    (1.000, "#ffffff"),
    (0.905, "#fbe1c3"),
    (0.770, "#f9b07b"),
    (0.615, "#e9785a"),
    (0.445, "#c23e56"),
    (0.275, "#821b5c"),
    (0.105, "#3a0a42"),
)


def _attention() -> Colormap:
    lightest, darkest = _RAMP[0][0], _RAMP[-1][0]
    anchors = [((lightest - at) / (lightest - darkest), colour) for at, colour in _RAMP]
    ramp = LinearSegmentedColormap.from_list("attention", anchors, N=256)
    return ramp.with_extremes(bad=MASKED)


def _attention_dark() -> Colormap:
    """The same hues the other way round, from dark paper: there the lightest is the strongest."""
    # A plum whose green is no less than the paper's, or who sees no red would see it darken.
    steps = [(0.050, DARK[PAPER]), (0.136, "#341542"), *reversed(_RAMP[1:-1])]
    darkest, lightest = steps[0][0], steps[-1][0]
    anchors = [((at - darkest) / (lightest - darkest), colour) for at, colour in steps]
    return LinearSegmentedColormap.from_list("attention_dark", anchors, N=256)


def _overlay(strongest: float = 0.9) -> Colormap:
    """The same hues from a warm middle on, transparent at zero, to be laid over a grey image."""
    share = np.linspace(0.0, 1.0, 256)
    colours = ATTENTION(0.34 + 0.34 * share)
    colours[:, 3] = strongest * share**0.8
    return ListedColormap(colours, name="attention_overlay")


def _on_paper(overlay: Colormap) -> Colormap:
    """What the overlay looks like on white: for its scale, whatever lies beneath that."""
    colours = overlay(np.linspace(0.0, 1.0, 256))
    alpha = colours[:, 3:]
    opaque = colours[:, :3] * alpha + 1 - alpha
    return ListedColormap(opaque, name="attention_scale")


ATTENTION = _attention()
ATTENTION_DARK = _attention_dark()
ATTENTION_OVERLAY = _overlay()
ATTENTION_SCALE = _on_paper(ATTENTION_OVERLAY)
