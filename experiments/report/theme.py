"""Lets an SVG that the plots drew follow the reader's light or dark theme."""

from attn_jax.plot import colours


def themed(svg: str) -> str:
    """Replaces the colours of text and lines by variables that a dark theme redefines.

    What is an image within the SVG, the digits and the colour scale, stays as it is.

    Args:
        svg: A drawing of :mod:`attn_jax.plot`.

    Returns:
        The same drawing for a browser.

    Example:
        >>> from experiments.report.theme import themed
        >>> "fill: var(--c0)" in themed('<svg><path style="fill: #1f2328"/></svg>')
        True
    """
    names = {light: f"--c{number}" for number, light in enumerate(colours.DARK)}
    for light, name in names.items():
        svg = svg.replace(f": {light}", f": var({name})")
    light = ";".join(f"{name}:{colour}" for colour, name in names.items())
    dark = ";".join(f"{names[colour]}:{swapped}" for colour, swapped in colours.DARK.items())
    style = f"<style>svg{{{light}}}@media(prefers-color-scheme:dark){{svg{{{dark}}}}}</style>"
    head, tag, rest = svg.partition("<svg")
    opening, close, body = rest.partition(">")
    return f"{head}{tag}{opening}{close}{style}{body}"
