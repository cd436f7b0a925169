"""Writing on: the token with the largest logit, again and again."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import Array


@functools.partial(jax.jit, static_argnames=("model", "steps"))
def generate_tokens(
    model: nn.Module, variables: dict[str, Any], tokens: Array, *, steps: int
) -> Array:
    """Return tokens, `(batch, tokens)`, followed by those that a model with a cache chooses."""
    module: Any = model

    def advance(cache: Any, tokens: Array) -> tuple[Any, Array]:
        logits, state = module.apply({**variables, "cache": cache}, tokens, mutable=["cache"])
        return state["cache"], logits[:, -1].argmax(-1).astype(tokens.dtype)

    def step(carry: tuple[Any, Array], _: None) -> tuple[tuple[Any, Array], Array]:
        cache, token = carry
        return advance(cache, token[:, None]), token

    batch, length = tokens.shape
    first = advance(module.empty_cache(batch, length + steps - 1), tokens)
    (_, last), written = jax.lax.scan(step, first, None, length=steps - 1)
    return jnp.concatenate([tokens, written.T, last[:, None]], axis=1)
