"""The page's ES modules as one script: each in a function of its own, after what it imports."""

import importlib.resources
import posixpath
import re

_IMPORT = re.compile(r'^import (?:\{([^}]*)\}|\* as (\w+)) from "([^"]+)";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export ((?:async )?function\*?|class|const) (\w+)", re.MULTILINE)


def source(name: str) -> str:
    """Reads a file of ``web/``."""
    return (importlib.resources.files("attn_jax.plot.viewer") / "web" / name).read_text("utf-8")


def script(entry: str = "main.js") -> str:
    """Bundles a module and all it imports into one script.

    Modules use these forms only: ``import { a, b as c } from "./file.js";``, ``import * as a`` from
    one, and ``export`` before a function, class or const.

    Args:
        entry: The module that starts the page.

    Returns:
        The script.

    Example:
        >>> from attn_jax.plot.viewer import bundle
        >>> "import {" in bundle.script()
        False
    """
    parts: dict[str, str] = {}
    _add(entry, parts)
    return "\n".join(['"use strict";', "const modules = {};", *parts.values()])


def _add(path: str, parts: dict[str, str]) -> None:
    if path in parts:
        return
    body = source(path)

    def bind(found: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(path), found[3]))
        _add(target, parts)
        names = found[2] or "{" + re.sub(r"(\w+) as (\w+)", r"\1: \2", found[1]) + "}"
        return f'const {names} = modules["{target}"];\n'

    body = _IMPORT.sub(bind, body)
    names = ", ".join(found[2] for found in _EXPORT.finditer(body))
    body = _EXPORT.sub(r"\1 \2", body)
    parts[path] = f'modules["{path}"] = (() => {{\n{body}return {{ {names} }};\n}})();'
