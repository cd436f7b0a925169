"""Light and dark themes for the SVG drawings of a report."""

from attn_jax.plot import colors


def themed(svg: str) -> str:
    """Replace the colors of text and lines with variables that a dark theme redefines.

    Images within the SVG, such as digits and color scales, stay as they are.

    Args:
        svg: A drawing by :mod:`attn_jax.plot`.

    Returns:
        The same drawing for a browser.

    Example:
        >>> from experiments.report.theme import themed
        >>> "fill: var(--c0)" in themed('<svg><path style="fill: #1f2328"/></svg>')
        True
    """
    names = {light: f"--c{number}" for number, light in enumerate(colors.DARK)}
    for light, name in names.items():
        svg = svg.replace(f": {light}", f": var({name})")
    light = ";".join(f"{name}:{color}" for color, name in names.items())
    dark = ";".join(f"{names[color]}:{swapped}" for color, swapped in colors.DARK.items())
    style = f"<style>svg{{{light}}}@media(prefers-color-scheme:dark){{svg{{{dark}}}}}</style>"
    head, tag, rest = svg.partition("<svg")
    opening, close, body = rest.partition(">")
    return f"{head}{tag}{opening}{close}{style}{body}"
