"""The ES modules of the page as one script: each in its own function, after its imports."""

import importlib.resources
import json
import posixpath
import re

_IMPORT = re.compile(r'^import (?:\{([^}]*)\}|\* as (\w+)) from "([^"]+)";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export ((?:async )?function\*?|class|const) (\w+)", re.MULTILINE)


def source(name: str) -> str:
    """Return the text of a file in `web/`."""
    return (importlib.resources.files("attn_jax.plot.viewer") / "web" / name).read_text("utf-8")


def chinese() -> dict[str, str]:
    """Return the words of the page in Chinese, by the English, from `words.js`."""
    text = source("words.js")
    return json.loads(text[text.index("{\n") : text.rindex("}") + 1])


def script(entry: str = "main.js") -> str:
    """Bundle a module and all its imports into one script.

    Modules may only use `import { a, b as c } from "./file.js";`, `import * as a from "./file.js";`
    and `export` before a function, class or const.

    Args:
        entry: Module that starts the page.

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

    def bind(match: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(path), match[3]))
        _add(target, parts)
        names = match[2] or "{" + re.sub(r"(\w+) as (\w+)", r"\1: \2", match[1]) + "}"
        return f'const {names} = modules["{target}"];\n'

    body = _IMPORT.sub(bind, body)
    names = ", ".join(match[2] for match in _EXPORT.finditer(body))
    body = _EXPORT.sub(r"\1 \2", body)
    parts[path] = f'modules["{path}"] = (() => {{\n{body}return {{ {names} }};\n}})();'
