"""Characters as people count them: a letter with its accents, an emoji with its skin tone."""

import unicodedata

_JOINERS = "\u200c\u200d"
VISIBLE = {"\n": "↵", "\t": "⇥"}


def clusters(text: str) -> list[str]:
    """Split a text where a reader would.

    Marks, joiners, skin tones and tags stay with the character before them, what follows a
    zero-width joiner stays with it, and two regional indicators are one flag.

    Args:
        text: The text.

    Returns:
        Its parts, which make the text together.

    Example:
        >>> from attn_jax.plot.graphemes import clusters
        >>> [len(part) for part in clusters("ae\u0301👍🏽🇫🇷")]
        [1, 2, 2, 2]
    """
    parts: list[str] = []
    for character in text:
        if parts and _belongs(parts[-1], character):
            parts[-1] += character
        else:
            parts.append(character)
    return parts


def _belongs(before: str, character: str) -> bool:
    if character.isascii():
        return False
    if unicodedata.category(character).startswith("M") or character in _JOINERS:
        return True
    if _is_flag(character):
        return len(before) == 1 and _is_flag(before)
    return before[-1] == "\u200d" or _modifies(character)


def _is_flag(character: str) -> bool:
    return "\U0001f1e6" <= character <= "\U0001f1ff"


def _modifies(character: str) -> bool:
    """Return whether a character is a skin tone or a tag, which change the emoji before them."""
    return "\U0001f3fb" <= character <= "\U0001f3ff" or "\U000e0020" <= character <= "\U000e007f"


def printable(text: str) -> str:
    r"""Return a text as a visible line.

    Line breaks are `↵` and tabs `⇥`. Other characters that cannot be seen become escapes, except
    for joiners between two letters or emoji whose shape they change.

    Args:
        text: The text.

    Returns:
        The line.

    Example:
        >>> from attn_jax.plot.graphemes import printable
        >>> printable("a\x00b\n"), printable("a\u200d"), len(printable("👩\u200d🔬"))
        ('a\\x00b↵', 'a\\u200d', 3)
    """
    return "".join(_printable(text, place) for place in range(len(text)))


def _printable(text: str, place: int) -> str:
    character = text[place]
    if character.isprintable() or _modifies(character):
        return character
    neighbors = text[place - 1 : place] + text[place + 1 : place + 2]
    if character in _JOINERS and len(neighbors) == 2 and not any(map(str.isascii, neighbors)):
        return character
    escaped = character.encode("unicode_escape", "surrogatepass").decode("ascii")
    return VISIBLE.get(character, escaped)
