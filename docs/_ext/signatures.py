"""Write signatures as their author would: `ArrayLike`, not all that it may be; no private paths."""

import dataclasses
import inspect
import re
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.util.inspect import object_description

_ARRAY = "jaxlib._jax.Array"
# NumPy's `ArrayLike` and `NDArray` are unions and generics of private names.
_ARRAY_LIKE = r"~numpy\._typing\._array_like\._Buffer \| .*?\[complex \| bytes \| str\]"
_ND_ARRAY = r"~numpy\.ndarray\[tuple\[~typing\.Any, \.\.\.\], [^|=,)]*\]"
_SHORT = {_ARRAY_LIKE: "ArrayLike", _ND_ARRAY: "NDArray", re.escape(_ARRAY): "Array"}
_OF_FLAX = re.compile(r"(, )?parent: .*", re.DOTALL)


def shorten(
    _app: Sphinx,
    what: str,
    _name: str,
    obj: Any,
    _options: Any,
    signature: str | None,
    result: Any,
) -> tuple[str | None, str | None]:
    """Shorten a signature, and leave out of it what only Flax knows: a parent, a name."""
    if signature and what == "class":
        signature = _OF_FLAX.sub(")", signature)
    if signature:
        signature = _with_short_defaults(obj, signature)
    plain = [text and _shortened(text) for text in (signature, result)]
    return plain[0], plain[1]


def _shortened(text: str) -> str:
    for pattern, short in _SHORT.items():
        text = re.sub(pattern, short, text)
    return text


def _with_short_defaults(obj: Any, signature: str) -> str:
    try:
        parameters = inspect.signature(obj).parameters.values()
    except (TypeError, ValueError):  # of some classes of other libraries
        return signature
    for parameter in parameters:
        default = parameter.default
        if default is not parameter.empty:
            signature = signature.replace(
                f"= {object_description(default)}", f"= {short_value(default)}"
            )
    return signature


def short_value(value: Any) -> str:
    """Return a default as code: functions by name, modules with the fields that were set.

    Example:
        >>> from attn_jax import nn
        >>> short_value(nn.AdditiveAttention(hidden_dim=64)), short_value(len)
        ('AdditiveAttention(hidden_dim=64)', 'len')
    """
    if hasattr(value, "__name__"):
        return value.__name__
    if not dataclasses.is_dataclass(value) or not callable(value):
        return object_description(value)
    fields = [field for field in dataclasses.fields(value) if field.name not in ("parent", "name")]
    given = [
        f"{field.name}={short_value(getattr(value, field.name))}"
        for field in fields
        if getattr(value, field.name) != field.default
    ]
    return f"{type(value).__name__}({', '.join(given)})"


def name_arrays(_app: Sphinx, _domain: str, _kind: str, content: addnodes.desc_content) -> None:
    """Name JAX's array in the types of attributes, which have no signature to shorten."""
    if content.parent is None:
        return
    for text in list(content.parent.findall(nodes.Text)):
        if _ARRAY in text:
            text.parent.replace(text, nodes.Text(text.replace(_ARRAY, "Array")))


def setup(app: Sphinx) -> dict[str, Any]:
    """Register both."""
    app.connect("autodoc-process-signature", shorten)
    app.connect("object-description-transform", name_arrays)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
