"""From pictures and texts to the arguments of a model that takes both."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from jax import Array

from attn_jax.pretrained.errors import PretrainedError
from attn_jax.pretrained.reading.images import ImageReader
from attn_jax.pretrained.reading.reader import TextReader
from attn_jax.pretrained.reading.tokenizer import Tokenizer


@dataclasses.dataclass(frozen=True)
class ImageTextReader:
    """Reads texts, images or both.

    Attributes:
        texts: The reader of texts.
        images: The reader of images.
    """

    texts: TextReader
    images: ImageReader

    def encode(self, texts: Sequence[str] | None = None, images: Any = None) -> dict[str, Array]:
        """Return what the model takes, for a list of texts, a list of images or both.

        Args:
            texts: The texts.
            images: The images, as :meth:`ImageReader.encode` takes them.

        Raises:
            PretrainedError: If there are neither, or one cannot be read.
        """
        if texts is None and images is None:
            raise PretrainedError("encode takes a list of texts, a list of images or both.")
        arguments = {} if images is None else self.images.encode(images)
        return arguments | ({} if texts is None else self.texts.encode(texts))

    def shown(self, images: Any) -> Any:
        """Return images as the model sees them, as :meth:`ImageReader.shown` does."""
        return self.images.shown(images)

    @property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer of the texts."""
        return self.texts.tokenizer
