"""The palette: every color has the same meaning in every picture.

Attention runs from white to dark plum with evenly decreasing lightness, so that it also works in
grayscale print. The categorical colors are Okabe and Ito's and a brown, which color-blind readers
can tell apart.
"""

import numpy as np
from matplotlib.colors import Colormap, LinearSegmentedColormap, ListedColormap

INK = "#1f2328"
MUTED = "#59636e"
RULE = "#d0d7de"
PAPER = "#ffffff"
# Text on a dark cell. Unlike PAPER, it must stay light in every theme.
ON_DARK = "#fdfdfd"
MASKED = "#e4e8ec"

RIGHT = "#0072b2"
WRONG = "#d55e00"
TRUTH = "#009e73"
SPLITS = {"train": "#0072b2", "validation": "#d55e00", "test": "#009e73"}
SERIES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#6b2f0a")

# Replacements for a dark background.
DARK = {
    INK: "#e6edf3",
    MUTED: "#9198a1",
    RULE: "#3d444d",
    PAPER: "#0d1117",
    RIGHT: "#6cb8f0",
    WRONG: "#ff9a52",
    TRUTH: "#3fcf9f",
}

# Anchors of the ramp, each with its CIE lightness L* as a fraction of white's.
_RAMP = (
    (1.000, "#ffffff"),
    (0.905, "#fbe1c3"),
    (0.770, "#f9b07b"),
    (0.615, "#e9785a"),
    (0.445, "#c23e56"),
    (0.275, "#821b5c"),
    (0.105, "#3a0a42"),
)

# Negative, none, positive: WRONG and RIGHT in the middle of either half.
_SIGNED_RAMP = ("#7a3300", "#d55e00", "#f2b48a", "#ffffff", "#8fc1e3", "#0072b2", "#053b61")


def _attention() -> Colormap:
    lightest, darkest = _RAMP[0][0], _RAMP[-1][0]
    anchors = [((lightest - light) / (lightest - darkest), color) for light, color in _RAMP]
    ramp = LinearSegmentedColormap.from_list("attention", anchors, N=256)
    return ramp.with_extremes(bad=MASKED)


def _attention_dark() -> Colormap:
    """Reverse the hues for a dark background, where the lightest color is the strongest."""
    # The plum has no less green than the background: without it, readers who cannot see red
    # would see the ramp darken first.
    steps = [(0.050, DARK[PAPER]), (0.136, "#341542"), *reversed(_RAMP[1:-1])]
    darkest, lightest = steps[0][0], steps[-1][0]
    anchors = [((light - darkest) / (lightest - darkest), color) for light, color in steps]
    return LinearSegmentedColormap.from_list("attention_dark", anchors, N=256)


def _signed() -> Colormap:
    """Run from vermilion over white at zero to blue, as dark at one end as at the other."""
    ramp = LinearSegmentedColormap.from_list("signed", _SIGNED_RAMP, N=257)
    return ramp.with_extremes(bad=(0, 0, 0, 0))


def _overlay(strongest: float = 0.9) -> Colormap:
    """Take the upper half of the hues, transparent at zero, to lay over a gray image."""
    share = np.linspace(0.0, 1.0, 256)
    colors = ATTENTION(0.34 + 0.34 * share)
    colors[:, 3] = strongest * share**0.8
    return ListedColormap(colors, name="attention_overlay")


def _on_paper(overlay: Colormap) -> Colormap:
    """Blend the overlay with white, for a color bar that does not depend on its background."""
    colors = overlay(np.linspace(0.0, 1.0, 256))
    alpha = colors[:, 3:]
    opaque = colors[:, :3] * alpha + 1 - alpha
    return ListedColormap(opaque, name="attention_on_white")


ATTENTION = _attention()
ATTENTION_DARK = _attention_dark()
ATTENTION_OVERLAY = _overlay()
ATTENTION_SCALE = _on_paper(ATTENTION_OVERLAY)
SIGNED = _signed()
