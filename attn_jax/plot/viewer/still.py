"""A still picture of a viewer, for places that show no scripts: GitHub, a PDF, a printed page."""

import base64
import io
import warnings
from collections.abc import Mapping
from typing import Any

from attn_jax.plot.viewer.content import Content
from attn_jax.plot.viewer.export import figure

_DPI, _MOST_PIXELS = 144, 1_200_000
# In a page, a script tells the frame around it how high it is; this listens there.
LISTENER = (
    'addEventListener("message",({source,data})=>{if(data&&data.attentionHeight>0)'
    'for(const frame of document.querySelectorAll("iframe"))if(frame.contentWindow===source)'
    'frame.style.height=data.attentionHeight+2+"px"});'
)


def still(content: Content, state: Mapping[str, Any], kind: str = "png") -> bytes:
    """Draw a selection as an image.

    Heads that no figure shows together are left for the first map.

    Args:
        content: Content of the viewer.
        state: Selection of the viewer.
        kind: `"png"`, or `"webp"`, a tenth of it.

    Returns:
        The file.
    """
    try:
        picture = figure(content, state)
    except ValueError:
        first = "matrix" if content.layers else "summary"
        picture = figure(content, {"view": first})
    width, height = picture.get_size_inches()
    dpi = min(_DPI, (_MOST_PIXELS / (width * height)) ** 0.5)
    buffer = io.BytesIO()
    picture.savefig(buffer, format=kind, dpi=dpi)
    return buffer.getvalue()


def still_address(content: Content, state: Mapping[str, Any]) -> str:
    """Return such an image as a `data:` address.

    Characters that no font here has are notes in it without a warning: the page beside it shows
    them with the fonts of the browser.

    Args:
        content: Content of the viewer.
        state: Selection of the viewer.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "no installed font has")
        picture = still(content, state, "webp")
    return "data:image/webp;base64," + base64.b64encode(picture).decode("ascii")
