r"""Tokens as people read them, whatever marks their tokenizer writes.

Tokenizers mark where words begin: GPT-2 by `Ġ`, SentencePiece by `▁`, others by a space; or where
they go on: WordPiece by `##`, CLIP by the lack of `</w>`, subword-nmt by `@@`. They also write
bytes in place of characters: GPT-2 always, SentencePiece as `<0x0A>` for what it does not know.
"""

import re
import unicodedata
from collections.abc import Sequence

from attn_jax.plot.graphemes import VISIBLE

# In place of the mark of a tokenizer, before a piece that continues a word.
CONTINUES = "·"
_BEGINS = re.compile(r" +(?=[^ ])")
_WORD_PIECE = re.compile(r"##(?=\w)")
_ENDS_WORD = "</w>"
_GOES_ON = "@@"
_BYTE = re.compile(r"<0x([0-9A-F]{2})>")
# Scripts that are written without spaces, by the first word of their characters' names.
_WITHOUT_SPACES = ("CJK", "HIRAGANA", "KATAKANA", "THAI", "LAO", "KHMER", "MYANMAR", "TIBETAN")


def _alphabet() -> dict[str, int]:
    """Return the byte that each character of GPT-2's alphabet stands for.

    Printable bytes of Latin-1 stand for themselves, the others for 256, 257 and so on.
    """
    own = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in own]
    return {chr(byte): byte for byte in own} | {chr(256 + i): byte for i, byte in enumerate(others)}


_BYTES = _alphabet()


def label_text(label: object) -> str:
    r"""Return a label as text: bytes are decoded, a number of a tensor is its value.

    Example:
        >>> from attn_jax.plot.labels import label_text
        >>> label_text(b"ab"), label_text(b"\xff"), label_text(7)
        ('ab', '\\xff', '7')
    """
    if hasattr(label, "detach"):  # a tensor of PyTorch, whose type is not known here
        label = label.item()  # type: ignore[attr-defined]
    return label.decode("utf-8", "backslashreplace") if isinstance(label, bytes) else str(label)


def read_labels(labels: Sequence[object]) -> list[str]:
    """Return the tokens of a text as people read them.

    The mark of a word's beginning is left out; a piece that continues a word has `·` before it. A
    line break is `↵`, a tab `⇥`. Of a character that several tokens spell in bytes, each names its
    share. Labels of no tokenizer stay as they are.

    Args:
        labels: The tokens in order.

    Returns:
        As many texts.

    Example:
        >>> from attn_jax.plot.labels import read_labels
        >>> read_labels(["un", "##able", "[SEP]"]), read_labels(["The", "Ġcat", "s", ".", "Ċ"])
        (['un', '·able', '[SEP]'], ['The', 'cat', '·s', '.', '↵'])
        >>> read_labels(["▁5", "<0xE2>", "<0x82>", "<0xAC>"])
        ['5', '€ 1/3', '€ 2/3', '€ 3/3']
    """
    texts = _words(_spelled_out([label_text(label) for label in labels]))
    return ["".join(VISIBLE.get(each, each) for each in text) for text in texts]


def _words(texts: Sequence[str]) -> Sequence[str]:
    """Replace the marks of words."""
    if any(text.startswith("▁") for text in texts):
        texts = [text.replace("▁", " ") for text in texts]
    if any(_BEGINS.match(text) for text in texts):
        return _by_beginnings(texts)
    if any(text.endswith(_ENDS_WORD) and text != _ENDS_WORD for text in texts):
        goes_on = [not text.endswith(_ENDS_WORD) and text[-1:].isalnum() for text in texts]
        return _by_endings([text.removesuffix(_ENDS_WORD) for text in texts], goes_on)
    if any(text.endswith(_GOES_ON) and text[:1].isalnum() for text in texts):
        goes_on = [text.endswith(_GOES_ON) for text in texts]
        return _by_endings([text.removesuffix(_GOES_ON) or text for text in texts], goes_on)
    return [
        _WORD_PIECE.sub(CONTINUES, text, count=1) if number and _WORD_PIECE.match(text) else text
        for number, text in enumerate(texts)
    ]


def _by_beginnings(texts: Sequence[str]) -> list[str]:
    words, before = [], " "
    for text in texts:
        word = _BEGINS.sub("", text, count=1) if _BEGINS.match(text) else text
        goes_on = word == text and _joins(before, text)
        words.append(CONTINUES * goes_on + word)
        before = text or " "
    return words


def _by_endings(texts: Sequence[str], goes_on: Sequence[bool]) -> list[str]:
    pairs = zip(texts, [False, *goes_on[:-1]], strict=True)
    return [CONTINUES * (on and _in_word(text)) + text for text, on in pairs]


def _joins(before: str, text: str) -> bool:
    """Return whether two texts without a space between them are of one word."""
    return _in_word(before[-1]) and _in_word(text)


def _in_word(text: str) -> bool:
    letter = text[1:2] if text[:1] in ("'", "’") else text[:1]
    name = unicodedata.name(letter, "") if letter else ""
    return letter.isalnum() and not name.startswith(_WITHOUT_SPACES)


def _spelled_out(texts: Sequence[str]) -> list[str]:
    """Replace bytes by the characters that they spell."""
    is_byte_level = _is_byte_level(texts)
    spelled: list[str] = []
    run: list[bytes] = []
    for text in [*texts, None]:
        data = None if text is None else _bytes_of(text, is_byte_level)
        if data is not None:
            run.append(data)
            continue
        spelled += _decoded(run)
        run = []
        spelled += [] if text is None else [text]
    return spelled


def _is_byte_level(texts: Sequence[str]) -> bool:
    """Return whether tokens are written in GPT-2's alphabet, some with a space or line break."""
    if not any(character in text for text in texts for character in "ĠĊ"):
        return False
    data = b"".join(filter(None, (_bytes_of(text, True) for text in texts)))
    # In Maltese, Ġ is a letter; its neighbors would be control characters.
    return not any((byte < 0x20 and byte not in b"\t\n\r") or byte == 0x7F for byte in data)


def _bytes_of(text: str, is_byte_level: bool) -> bytes | None:
    """Return the bytes that a token stands for, or None if it is plain text."""
    if match := _BYTE.fullmatch(text):
        return bytes([int(match[1], 16)])
    if not is_byte_level or not text or not set(text) <= set(_BYTES):
        return None
    return bytes(_BYTES[character] for character in text)


def _decoded(run: Sequence[bytes]) -> list[str]:
    """Decode tokens together, as a character may be spelled by several."""
    owners = [number for number, data in enumerate(run) for _ in data]
    texts = [""] * len(run)
    place = 0
    for character in b"".join(run).decode("utf-8", "surrogateescape"):
        size = len(character.encode("utf-8", "surrogateescape"))
        spellers = list(dict.fromkeys(owners[place : place + size]))
        place += size
        for number, owner in enumerate(spellers, 1):
            share = f" {number}/{len(spellers)}" if len(spellers) > 1 else ""
            texts[owner] += _byte_text(character) + share
    return texts


def _byte_text(character: str) -> str:
    return f"\\x{ord(character) - 0xDC00:02x}" if "\udc80" <= character <= "\udcff" else character
