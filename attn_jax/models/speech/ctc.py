"""A recognizer without attention, trained by connectionist temporal classification."""

from flax import linen as nn
from jaxtyping import Array, Bool, Float, Int

from attn_jax.models.sizes import filled
from attn_jax.models.speech.encoder import SpeechEncoder


class CtcRecognizer(nn.Module):
    """An encoder whose every state names a word, or none.

    Attributes:
        encoder: Maps spectrograms to states.
        vocabulary: The number of words, none included; filled in from the task.

    Example:
        >>> import jax.numpy as jnp
        >>> model, mel = CtcRecognizer(vocabulary=7), jnp.ones((2, 12, 5))
        >>> frames = jnp.array([12, 7])
        >>> logits, exists = model.apply(model.init(jax.random.key(0), mel, frames), mel, frames)
        >>> logits.shape, exists.shape
        ((2, 3, 7), (2, 3))

    References:
        Graves et al., "Connectionist Temporal Classification: Labelling Unsegmented Sequence Data
        with Recurrent Neural Networks", 2006. https://doi.org/10.1145/1143844.1143891
    """

    encoder: nn.Module = SpeechEncoder()
    vocabulary: int | None = None

    @nn.compact
    def __call__(
        self, mel: Float[Array, "n frames mels"], frames: Int[Array, " n"], *, train: bool = False
    ) -> tuple[Float[Array, "n states v"], Bool[Array, "n states"]]:
        """Return the logits of the words at each state, token 0 for none; and which states exist.

        Args:
            mel: Spectrograms, padded at the end.
            frames: The number of frames of each.
            train: Turns dropout on; then give `rngs={"dropout": rng}`.
        """
        states, exists = self.encoder(mel, frames, train=train)
        return nn.Dense(filled(self, "vocabulary"), name="head")(states), exists
