"""The page as one file that opens anywhere: content, script and style, without network access."""

import base64
import hashlib
import html
import json
import re
import string
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.colors import Colormap, to_hex

from attn_jax.plot import colors
from attn_jax.plot.viewer import bundle

LANGUAGES = {"en": "en", "zh": "zh-Hans"}
"""The languages of the page, with their tags in HTML."""
_WORDS = re.compile(r"\[\[(.+?)\]\]")
_NAMES = ("ink", "muted", "rule", "paper", "right", "wrong", "truth")


def page(payload: Mapping[str, Any], blobs: Sequence[str], still: str) -> Iterator[str]:
    """Yield the page as HTML, in parts, so that a large one is never twice in memory.

    The payload is text in a JSON script element, in ASCII and without `<`, so that no token can end
    it. The page may load nothing, and runs only its own script, identified by its hash.

    Args:
        payload: Content of the page, for JSON, with the state that it opens with.
        blobs: Encoded arrays, to which it refers by number.
        still: Address of a picture, shown where no script runs and in print.

    Yields:
        The parts of the HTML.
    """
    style = f"{_variables()}\n{bundle.source('style.css')}"
    script = bundle.script()
    policy = (
        f"default-src 'none'; script-src '{_digest(script)}'; style-src '{_digest(style)}'; "
        "img-src data: blob:; base-uri 'none'; form-action 'none'"
    )
    language = payload["state"].get("language", "en")
    words = bundle.chinese() if language == "zh" else {}
    parts = {
        "lang": LANGUAGES[language],
        "policy": policy,
        "title": html.escape(_encodable(str(payload["title"]))),
        "style": style,
        "payload": json_text({**payload, "palette": _palette()}),
        "still": still,
        "script": script,
    }
    template = _WORDS.sub(lambda match: words.get(match[1], match[1]), bundle.source("page.html"))
    before, after = template.split("$blobs")
    yield string.Template(before).substitute(parts)
    for number, blob in enumerate(blobs):
        yield f'<script type="text/plain" id="blob-{number}">{blob}</script>\n'
    yield string.Template(after.lstrip("\n")).substitute(parts)


def json_text(value: object) -> str:
    r"""Return JSON that is safe in HTML, whatever its strings are.

    Example:
        >>> from attn_jax.plot.viewer.page import json_text
        >>> json_text(["</script>"])
        '["\\u003c/script\\u003e"]'
    """
    text = json.dumps(value, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _encodable(text: str) -> str:
    """Replace lone surrogates, which UTF-8 cannot encode."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _palette() -> dict[str, object]:
    return {
        "light": _ramp(colors.ATTENTION),
        "dark": _ramp(colors.ATTENTION_DARK),
        "overlay": colors.ATTENTION_OVERLAY(np.linspace(0, 1, 256)).round(4).tolist(),
        "series": colors.SERIES,
    }


def _ramp(colormap: Colormap) -> list[str]:
    return [to_hex(color) for color in colormap(np.arange(256))]


def _variables() -> str:
    """Return CSS variables for the colors of text and lines in both themes."""
    light = {name: getattr(colors, name.upper()) for name in _NAMES}
    dark = {name: colors.DARK[color] for name, color in light.items()}
    light["bar"], dark["bar"] = to_hex(colors.ATTENTION(0.55)), to_hex(colors.ATTENTION_DARK(0.6))
    light_css = "color-scheme:light;" + ";".join(f"--{name}:{c}" for name, c in light.items())
    dark_css = "color-scheme:dark;" + ";".join(f"--{name}:{c}" for name, c in dark.items())
    return (
        f":root{{{light_css}}}:root[data-theme=dark]{{{dark_css}}}"
        f"@media(prefers-color-scheme:dark){{:root:not([data-theme=light]){{{dark_css}}}}}"
    )
