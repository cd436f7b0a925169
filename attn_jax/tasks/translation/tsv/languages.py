"""The names of languages, to tell a header from a pair."""

import functools
import re

from attn_jax._extras import require
from attn_jax.tasks.translation.dates import LOCALES

__all__ = ["find_language"]

_CODE = re.compile(r"([a-z]{2,3})((?:[-_][a-z]{4})?(?:[-_](?:[a-z]{2}|[0-9]{3}))?)")


def find_language(text: str) -> str | None:
    """Find the language that a text names.

    Args:
        text: A code, as `fr`, `fra` or `zh-Hans`, or a name in any of the languages of the task
            `dates`, as `French` or `français`; a remark in brackets after it is ignored.

    Returns:
        The code, or None if the text is no name of a language.

    Example:
        >>> find_language("French"), find_language("français (Canada)"), find_language("hello")
        ('fr', 'fr', None)
    """
    name = re.sub(r"\s*[(\[].*", "", text.strip()).casefold()
    match = _CODE.fullmatch(name)
    require("babel", extra="text")
    from babel import Locale
    from babel.core import get_global

    if match:
        code = get_global("language_aliases").get(match[1], match[1])
        if code in Locale("en").languages:
            return code + match[2].replace("_", "-")
    return _names().get(name)


@functools.cache
def _names() -> dict[str, str]:
    from babel import Locale

    names = {}
    for locale in map(Locale.parse, LOCALES):
        names |= {locale.languages[code].casefold(): code for code in LOCALES}
    english = {name.casefold(): code for code, name in Locale("en").languages.items()}
    return names | english
