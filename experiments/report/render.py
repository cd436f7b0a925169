"""Pages in one style: each is one file that loads nothing from the network."""

import base64
import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from attn_jax.plot.viewer.still import LISTENER
from experiments.report.language import LANGUAGES, Words
from experiments.report.pictures import Picture

_EXPERIMENTS = Path(__file__).parent.parent


def render(
    template: str, pictures: Sequence[Picture], *, language: str = "en", **content: Any
) -> str:
    """Return a page in the style of the reports, which loads nothing from the network.

    Args:
        template: A template in the folder of experiments that extends `report/layout.html.jinja`.
        pictures: The figures on the page.
        language: The language that the page opens in, `"en"` or `"zh"`.
        **content: What else the template shows.

    Returns:
        The HTML.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_EXPERIMENTS),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
    )
    environment.filters["number"] = _number
    words = Words(language)
    environment.globals.update(say=words.say, label=words.label)
    css, switch = (
        (_EXPERIMENTS / "report" / name).read_text(encoding="utf-8")
        for name in ("report.css", "language.js")
    )
    return environment.get_template(template).render(
        css=Markup(css),
        policy=_policy(css, switch, pictures),
        language=language,
        tag=LANGUAGES[language],
        switch=Markup(switch),
        pictures=pictures,
        listener=Markup(LISTENER if any(picture.page for picture in pictures) else ""),
        **content,
    )


def _policy(css: str, switch: str, pictures: Sequence[Picture]) -> str:
    """Return the content security policy: the page's script and style, and those of viewers."""
    style = _digest(css)
    allowed = {
        "img-src": ["data:"],
        "script-src": [f"'sha256-{_digest(switch)}'"],
        "style-src": [f"'sha256-{style}'"],
    }
    for page in filter(None, (picture.page for picture in pictures)):
        allowed["img-src"].append("blob:")
        allowed["script-src"].append(f"'sha256-{_digest(LISTENER)}'")
        for kind in ("script-src", "style-src"):
            allowed[kind] += re.findall(rf"{kind} ('sha256-[^']+')", page)
    sources = [
        f"{kind} {' '.join(dict.fromkeys(values))}" for kind, values in allowed.items() if values
    ]
    return "; ".join(("default-src 'none'", *sources, "base-uri 'none'", "form-action 'none'"))


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:z.3f}"
