"""Choosing the next token."""

import dataclasses
import math
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, Int

from attn_jax.pretrained.errors import PretrainedError


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Sampling:
    """A random choice among the likelier tokens; the numbers may change without a compilation.

    Attributes:
        temperature: Divides the logits.
        top_k: Only so many of the likeliest tokens are drawn; all if None.
        top_p: Only the likeliest tokens are drawn that together, after `top_k`, have this
            probability; all if None.

    References:
        Fan, Lewis and Dauphin, "Hierarchical Neural Story Generation", 2018, section 5.1, for
        `top_k`. https://arxiv.org/abs/1805.04833
        Holtzman et al., "The Curious Case of Neural Text Degeneration", 2020, section 3.1, for
        `top_p`. https://arxiv.org/abs/1904.09751
    """

    # Any, because inside `jit` they are arrays.
    temperature: Any
    top_k: Any = None
    top_p: Any = None

    def draw(self, rng: Array, logits: Float[Array, "b v"]) -> Int[Array, " b"]:
        """Draw a token for each row."""
        return jax.random.categorical(rng, self.restrict(logits))

    def restrict(self, logits: Float[Array, "b v"]) -> Float[Array, "b v"]:
        """Return the logits of the distribution: minus infinity for what is not drawn.

        Tokens that are as likely as the last one that may be drawn, may be drawn too.
        """
        logits = logits / self.temperature
        if self.top_k is None and self.top_p is None:
            return logits
        ordered = jnp.sort(logits, axis=-1, descending=True)
        if self.top_k is not None:
            ranks = jnp.arange(logits.shape[-1])[None]
            ordered = jnp.where(ranks < self.top_k, ordered, -jnp.inf)
        if self.top_p is not None:
            probabilities = jax.nn.softmax(ordered)
            likelier = jnp.cumsum(probabilities, axis=-1) - probabilities
            ordered = jnp.where(likelier < self.top_p, ordered, -jnp.inf)
        least = ordered.min(axis=-1, where=ordered > -jnp.inf, initial=jnp.inf, keepdims=True)
        return jnp.where(logits >= least, logits, -jnp.inf)


def sampling_of(temperature: float, top_k: int | None, top_p: float | None) -> Sampling | None:
    """Return the choice of tokens that was asked for; None takes the likeliest.

    Raises:
        PretrainedError: If a number is out of its range.
    """
    if not (math.isfinite(temperature) and temperature >= 0):
        raise PretrainedError(
            f"temperature={temperature} must be at least 0, which takes the likeliest token."
        )
    if top_k is not None and top_k < 1:
        raise PretrainedError(f"top_k={top_k} must be at least 1; None draws among all tokens.")
    if top_p is not None and not 0 < top_p <= 1:
        raise PretrainedError(f"top_p={top_p} must lie in (0, 1]; None draws among all tokens.")
    if temperature:
        return Sampling(temperature, top_k, top_p)
    if top_k is not None or top_p is not None:
        raise PretrainedError(
            f"top_k={top_k} and top_p={top_p} restrict draws, and temperature=0 draws nothing; set "
            "a temperature, such as 1."
        )
    return None
