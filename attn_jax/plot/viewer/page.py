"""One file that opens anywhere: what is shown, the script and the style, and no way out of it."""

import base64
import hashlib
import html
import json
import string
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.colors import Colormap, to_hex

from attn_jax.plot import colours
from attn_jax.plot.viewer import bundle

_NAMES = ("ink", "muted", "rule", "paper", "right", "wrong", "truth")


def page(payload: Mapping[str, object], blobs: Sequence[str]) -> str:
    """Writes the page.

    Whatever the payload holds is text within a JSON script element, in ASCII and without ``<``, so
    that no token can end it; the page may load nothing, and runs no script but its own, by hash.

    Args:
        payload: What the page shows, for JSON.
        blobs: The encoded arrays that it refers to by number.

    Returns:
        The HTML.
    """
    style = f"{_variables()}\n{bundle.source('style.css')}"
    script = bundle.script()
    policy = (
        f"default-src 'none'; script-src '{_digest(script)}'; style-src '{_digest(style)}'; "
        "img-src data: blob:; base-uri 'none'; form-action 'none'"
    )
    data = json_text({**payload, "palette": _palette()})
    arrays = "\n".join(
        f'<script type="text/plain" id="blob-{number}">{blob}</script>'
        for number, blob in enumerate(blobs)
    )
    return string.Template(bundle.source("page.html")).substitute(
        policy=policy,
        title=html.escape(_encodable(str(payload["title"]))),
        style=style,
        payload=data,
        blobs=arrays,
        script=script,
    )


def json_text(value: object) -> str:
    r"""Writes JSON that HTML cannot misread, whatever the strings hold.

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
    """Replaces lone surrogates, which no file can hold."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _palette() -> dict[str, object]:
    return {
        "light": _ramp(colours.ATTENTION),
        "dark": _ramp(colours.ATTENTION_DARK),
        "overlay": colours.ATTENTION_OVERLAY(np.linspace(0, 1, 256)).round(4).tolist(),
        "series": colours.SERIES,
    }


def _ramp(colormap: Colormap) -> list[str]:
    return [to_hex(colour) for colour in colormap(np.arange(256))]


def _variables() -> str:
    """Declares the colours of text and lines for both themes."""
    light = {name: getattr(colours, name.upper()) for name in _NAMES}
    dark = {name: colours.DARK[colour] for name, colour in light.items()}
    light["bar"], dark["bar"] = to_hex(colours.ATTENTION(0.55)), to_hex(colours.ATTENTION_DARK(0.6))
    by_day = "color-scheme:light;" + ";".join(f"--{name}:{c}" for name, c in light.items())
    by_night = "color-scheme:dark;" + ";".join(f"--{name}:{c}" for name, c in dark.items())
    return (
        f":root{{{by_day}}}:root[data-theme=dark]{{{by_night}}}"
        f"@media(prefers-color-scheme:dark){{:root:not([data-theme=light]){{{by_night}}}}}"
    )
