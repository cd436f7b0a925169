"""The words of a report in English and Chinese, which its reader switches between."""

import functools
import json
import re
from pathlib import Path

from markupsafe import Markup

from attn_jax.plot.chinese import card_words, translation

LANGUAGES = {"en": "en", "zh": "zh-Hans"}
"""The languages of a report, with their tags in HTML."""

_SENTENCES = re.compile(r"(?<=\.) (?=[A-Z-])")


@functools.cache
def words() -> dict[str, str]:
    """Return Chinese for the words of reports, by the English with places `{0}` for values."""
    own = Path(__file__).with_name("words.json").read_text("utf-8")
    return {**card_words(), **json.loads(own)}


def in_chinese(text: str) -> str | None:
    """Return a text of a report in Chinese, as a whole or sentence by sentence, if it is known."""
    whole = translation(text, words())
    if whole is not None:
        return whole
    parts = [translation(sentence, words()) for sentence in _SENTENCES.split(text)]
    return None if None in parts else "".join(part for part in parts if part is not None)


def check_language(language: str) -> None:
    """Refuse a language that there is no report in.

    Raises:
        ValueError: If there is no such language.
    """
    if language not in LANGUAGES:
        raise ValueError(f"there is no language {language!r} among {', '.join(LANGUAGES)}.")


class Words:
    """What templates call to write a text in both languages.

    Attributes:
        language: The language that is shown until the reader chooses.
    """

    def __init__(self, language: str):
        check_language(language)
        self.language = language

    def say(self, text: str) -> str:
        """Return a text that the page's script can exchange, or one without Chinese as it is."""
        known = in_chinese(text)
        if known is None:
            return text
        span = Markup('<span data-en="{}" data-zh="{}">{}</span>')
        return span.format(text, known, self._shown(text, known))

    def label(self, attribute: str, *texts: str) -> Markup:
        """Return an attribute that the page's script can exchange.

        Args:
            attribute: Its name.
            *texts: Its sentences.
        """
        english = ". ".join(text.rstrip(".") for text in texts if text)
        parts = [in_chinese(text) or text for text in texts if text]
        known = "。".join(part.rstrip("。") for part in parts)
        pair = Markup('data-attribute="{}" data-label-en="{}" data-label-zh="{}" ')
        exchanged = pair.format(attribute, english, known) if english != known else Markup("")
        shown = self._shown(english, known)
        return exchanged + Markup('{}="{}"').format(Markup(attribute), shown)

    def _shown(self, english: str, known: str) -> str:
        return known if self.language == "zh" else english
