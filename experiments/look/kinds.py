"""The kinds of input, and the function that looks at each: texts, translations, images, sounds."""

import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from attn_jax.pretrained import Pretrained
from experiments.invocation import IS_CLONE
from experiments.look import EXAMPLE
from experiments.look.look import Choice, Look

_HINTS = {
    kind: f"give one with --{option}" + f" (make look {option.upper()}=...)" * IS_CLONE
    for kind, option in (("texts", "text"), ("images", "image"), ("sounds", "audio"))
}


class Given(NamedTuple):
    """What the command line gives a model to read; at most one of the three is not empty.

    Attributes:
        texts: One or two texts.
        image: The file of an image.
        sound: The file of a recording.
    """

    texts: Sequence[str] = ()
    image: Path | None = None
    sound: Path | None = None

    @property
    def kind(self) -> str:
        """What it is, as the argument of a reader's `encode` is named; empty if there is none."""
        kinds = {"texts": self.texts, "images": self.image, "sounds": self.sound}
        return next((kind for kind, value in kinds.items() if value), "")


def look_at(model: Pretrained, given: Given, choice: Choice, generate: int = 0) -> Look:
    """Let a model read, and capture its attention.

    Args:
        model: The model.
        given: What to read; without anything, a model of texts reads a sentence.
        choice: The map in the figures.
        generate: The number of tokens that a model of texts writes.

    Returns:
        The content of the page.

    Raises:
        PretrainedError: If the input is empty, damaged or too long.
        ValueError: If the model reads something else, or there is no such layer or head.
    """
    kind = chosen_kind(model.name, kinds_read(model), given)
    if generate and kind != "texts":
        raise ValueError(f"--generate {generate} is for texts; leave it out to look at {kind}.")
    # Each file is imported where it is used: the readers of images and sounds take their time.
    if given.image:
        from experiments.look.image import look_at_image

        return look_at_image(model, given.image, choice)
    if given.sound:
        from experiments.look.audio import look_at_sound

        return look_at_sound(model, given.sound, choice)
    return _look_at_texts(model, given.texts or [EXAMPLE], choice, generate)


def chosen_kind(name: str, readable: Sequence[str], given: Given) -> str:
    """Return the kind of input that a model is to read.

    Args:
        name: The model's name.
        readable: The kinds that it reads.
        given: What there is to read; without anything, a model of texts reads a sentence.

    Raises:
        ValueError: If it does not read what is given, or nothing is given.
    """
    kind = given.kind or ("texts" if "texts" in readable else "")
    if kind not in readable:
        hints = ", or ".join(_HINTS[each] for each in readable)
        other = f", not {kind}" if kind else ""
        raise ValueError(f"{name} reads {' or '.join(readable)}{other}: {hints}.")
    return kind


def kinds_read(model: Pretrained) -> list[str]:
    """Return what a model reads, "texts", "images" or "sounds": its reader's arguments say it."""
    parameters = inspect.signature(model.reader.encode).parameters
    return [kind for kind in _HINTS if kind in parameters]


def _look_at_texts(model: Pretrained, texts: Sequence[str], choice: Choice, generate: int) -> Look:
    if not hasattr(model.model, "decode"):
        from experiments.look.text import look_at_texts

        return look_at_texts(model, texts, choice, generate)
    if len(texts) > 1:
        raise ValueError(f"{model.name} writes a text after the one that it reads; drop --text2.")
    from experiments.look.translation import look_at_translation

    return look_at_translation(model, texts[0], choice, generate)
