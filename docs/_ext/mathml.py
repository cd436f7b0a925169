"""Formulas as MathML, which every browser draws by itself: no script, no font, no network."""

import re
from typing import Any

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.writers.html5 import HTML5Translator

logger = logging.getLogger(__name__)


def inline(self: HTML5Translator, node: nodes.math) -> None:
    """Write a formula within a line."""
    self.body.append(_formula(node, as_block=False))
    raise nodes.SkipNode


def block(self: HTML5Translator, node: nodes.math_block) -> None:
    """Write a formula on lines of its own."""
    self.body.append(f'<div class="formula">{_formula(node, as_block=True)}</div>\n')
    raise nodes.SkipNode


def _formula(node: nodes.Element, *, as_block: bool) -> str:
    tex = node.astext().strip()
    # An index needs something to stand at.
    tex = "{}" + tex if tex.startswith(("^", "_")) else tex
    # MathML stretches brackets by itself.
    tex = re.sub(r"\\[bB]igg?[lrm]?(?![a-zA-Z])", "", tex)
    # An alignment that Sphinx or MyST would wrap for LaTeX needs an environment of its own here.
    if as_block and "&" in tex and r"\begin" not in tex:
        tex = rf"\begin{{aligned}}{tex}\end{{aligned}}"
    try:
        return tex2mathml(tex, as_block=as_block)
    except Exception as error:
        logger.warning("the formula %r is not understood: %s", tex, error, location=node)
        return f"<code>{nodes.unescape(tex)}</code>"


def setup(app: Sphinx) -> dict[str, Any]:
    """Register as the renderer of formulas."""
    app.add_html_math_renderer("mathml", (inline, None), (block, None))
    app.config.html_math_renderer = "mathml"
    return {"parallel_read_safe": True, "parallel_write_safe": True}
