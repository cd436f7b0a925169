"""Show beside each plotting function the picture that the example in its docstring makes.

The examples are doctests. Each is run once for each state of the code, and its picture kept in
`docs/generated/pictures/`.
"""

import doctest
import hashlib
import inspect
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx
from sphinx.util import logging

from experiments.benchmarks.record import state_of_the_code

logger = logging.getLogger(__name__)

MODULE = "attn_jax.plot"
_SECTION = re.compile(r"^(Args|Returns|Raises|Example):$")
_FLAGS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS


def picture_of(function: Callable[..., Any]) -> bytes | None:
    """Return the last picture that a function's example makes, as PNG.

    Args:
        function: The function.

    Returns:
        The picture, or nothing if no variable of the example shows itself as one.

    Raises:
        ValueError: If the example gives something else than it says.
    """
    name = function.__name__
    text = inspect.getdoc(function) or ""
    example = doctest.DocTestParser().get_doctest(text, {}, name, None, None)
    report: list[str] = []
    runner = doctest.DocTestRunner(verbose=False, optionflags=_FLAGS)
    if runner.run(example, out=report.append, clear_globs=False).failed:
        raise ValueError(f"the example of {name} fails:\n{''.join(report)}")
    pictures = [value for value in example.globs.values() if hasattr(value, "_repr_png_")]
    return pictures[-1]._repr_png_() if pictures else None


def insert(app: Sphinx, what: str, name: str, obj: Any, _options: Any, lines: list[str]) -> None:
    """Put the picture of a plotting function above its arguments."""
    if what != "function" or not name.startswith(f"{MODULE}."):
        return
    path = _path(Path(app.srcdir), name, "\n".join(lines))
    if not path.exists():
        try:
            picture = picture_of(obj)
        except ValueError as error:
            logger.warning("%s", error)
            return
        if picture is None:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture)
    at = next((i for i, line in enumerate(lines) if _SECTION.match(line)), len(lines))
    lines[at:at] = [f".. image:: /{path.relative_to(app.srcdir).as_posix()}", *_LOOK, ""]


def setup(app: Sphinx) -> dict[str, Any]:
    """Register it, before the docstring is read in the Google style."""
    app.connect("autodoc-process-docstring", insert, priority=300)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


_LOOK = ["   :alt: The picture that the example below makes.", "   :class: figure example"]


def _path(docs: Path, name: str, text: str) -> Path:
    """Return the file of a picture, whose name changes with the code and the docstring."""
    state = hashlib.sha256(f"{state_of_the_code()}\n{text}".encode()).hexdigest()[:12]
    return docs / "generated" / "pictures" / f"{name.removeprefix(f'{MODULE}.')}-{state}.png"
