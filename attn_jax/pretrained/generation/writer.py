"""The loop that writes: one pass over what is there, and one for each new token."""

import dataclasses
import functools
import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax import Array
from jaxtyping import Int

from attn_jax.hooks import capture, tap
from attn_jax.pretrained.errors import PretrainedError
from attn_jax.pretrained.families.caching import set_lengths
from attn_jax.pretrained.generation.rules import Rules
from attn_jax.pretrained.generation.sampling import Sampling

Read = Callable[[str, Any, Array], tuple[Array, Any]]
"""Reads tokens with a cache; returns the logits and the cache with them in it."""


class Written(NamedTuple):
    """Texts and what a model wrote after them.

    Attributes:
        tokens: `(batch, tokens + steps)`. Each row holds its text, what was written after it, up
            to and with the token that ends it, and then padding. For an encoder-decoder model it
            begins with the tokens with which the decoder begins.
        lengths: `(batch,)`, the number of tokens of each row before the padding.
    """

    tokens: Int[Array, "b t"]
    lengths: Int[Array, " b"]

    @property
    def inputs(self) -> dict[str, Array]:
        """`tokens` and `key_mask`, what a language model takes to read all this at once."""
        exists = jnp.arange(self.tokens.shape[1])[None] < self.lengths[:, None]
        return {"tokens": self.tokens, "key_mask": exists}


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Writer:
    """A function that writes, with hook points for every step: :meth:`Pretrained.generating`.

    It is a pytree, so that it can be an argument of a function under `jax.jit`.

    Attributes:
        variables: The variables of the model.
        sampling: How tokens are drawn; None takes the likeliest.
        model: The module.
        rules: The rules of the checkpoint.
        steps: The number of tokens to write.
    """

    variables: Any
    sampling: Sampling | None
    model: nn.Module = dataclasses.field(metadata={"static": True})
    rules: Rules = dataclasses.field(metadata={"static": True})
    steps: int = dataclasses.field(metadata={"static": True})

    def __call__(self, inputs: dict[str, Array], rng: Array | None = None) -> Written:
        """Write after some texts.

        Args:
            inputs: What `encode` returns.
            rng: The random key, if tokens are drawn.

        Raises:
            PretrainedError: If tokens are drawn and there is no `rng`, or the other way round, or
                if there would be more tokens than the model takes.
        """
        if (rng is None) != (self.sampling is None):
            raise PretrainedError(
                "temperature draws tokens at random, so it needs rng, such as jax.random.key(0)."
                if rng is None
                else "rng is given, and temperature=0 draws nothing; set a temperature, such as 1."
            )
        prompt, lengths, read = self._reading(inputs)
        batch, length = prompt.shape
        # What a decoder must write first follows the one token with which it begins.
        rules = self.rules if length == 1 else dataclasses.replace(self.rules, first=None)
        if length + self.steps > (self.rules.limit or math.inf):
            raise PretrainedError(
                f"{length} tokens and {self.steps} steps make {length + self.steps}, and the model "
                f"takes {self.rules.limit} tokens."
            )
        _, cache = read("prompt", self.model.empty_cache(batch, length + self.steps - 1), prompt)
        # The first step reads the last token of each text again.
        cache = set_lengths(cache, lengths - 1)
        last = jnp.take_along_axis(prompt, lengths[:, None] - 1, axis=1)[:, 0]

        def step(carry, now):
            (cache, token, has_ended), (number, rng) = carry, now
            logits, cache = read("steps", cache, token[:, None])
            logits = rules.permit(logits[:, -1], number)
            with jax.named_scope("steps"):
                token = tap("token", self._choose(logits, rng).astype(token.dtype))
            token = jnp.where(has_ended, self.rules.pad, token)
            return (cache, token, has_ended | self.rules.ends(token)), (token, ~has_ended)

        rngs = None if rng is None else jax.random.split(rng, self.steps)
        start = cache, last, jnp.zeros(batch, bool)
        _, (written, is_written) = jax.lax.scan(step, start, (jnp.arange(self.steps), rngs))
        return Written(self._joined(prompt, lengths, written.T), lengths + is_written.sum(0))

    def _reading(self, inputs: dict[str, Array]) -> tuple[Array, Array, Read]:
        """Return the tokens to go on from, how many there are, and the function that reads them."""
        if not hasattr(self.model, "decode"):
            prompt, exists = inputs["tokens"], inputs.get("key_mask")
            return prompt, _lengths(prompt, exists), self._read()
        inputs = dict(inputs)
        prompt, key_mask = inputs.pop("decoder_tokens"), inputs.get("key_mask")
        apply: Any = self.model.apply
        states = apply(self.variables, **inputs, method="encode")
        return prompt, _lengths(prompt), self._read(states, key_mask, method="decode")

    def _read(self, *args: Any, **kwargs: Any) -> Read:
        """Return the function of a name for its hook points, a cache and tokens."""

        def read(name: str, cache: Any, tokens: Array) -> tuple[Array, Any]:
            model: Any = self.model.clone(name=name)
            variables = {**self.variables, "cache": cache}
            logits, state = model.apply(variables, tokens, *args, mutable=["cache"], **kwargs)
            return logits, state["cache"]

        return read

    def _choose(self, logits: Array, rng: Array | None) -> Array:
        if self.sampling is None or rng is None:
            return logits.argmax(-1)
        return self.sampling.draw(rng, logits)

    def _joined(self, prompt: Array, lengths: Array, written: Array) -> Array:
        """Return what was written right after the text of each row."""
        exists = jnp.arange(prompt.shape[1])[None] < lengths[:, None]
        prompt = jnp.where(exists, prompt, self.rules.pad)
        room = jnp.full_like(written, self.rules.pad)
        insert = functools.partial(jax.lax.dynamic_update_slice_in_dim, axis=0)
        return jax.vmap(insert)(jnp.concatenate([prompt, room], axis=1), written, lengths)


def _lengths(tokens: Array, exists: Array | None = None) -> Array:
    if exists is None:
        return jnp.full(tokens.shape[0], tokens.shape[1])
    return exists.sum(-1)


@functools.partial(jax.jit, static_argnames="spec")
def write(
    writer: Writer,
    inputs: dict[str, Array],
    rng: Array | None,
    spec: tuple[tuple[str, Any], ...] | None = None,
) -> Any:
    """Write in one program, whose weights are arguments; capture what a spec names, if any."""
    return writer(inputs, rng) if spec is None else capture(writer, dict(spec))(inputs, rng)


def frozen(spec: Any) -> tuple[tuple[str, Any], ...]:
    """Return a spec of :func:`attn_jax.hooks.capture` that can be hashed."""
    if isinstance(spec, Mapping):
        return tuple(spec.items())
    return tuple((glob, None) for glob in ([spec] if isinstance(spec, str) else spec))


def check_texts(inputs: dict[str, Array]) -> None:
    """Refuse texts that are empty or do not begin at the left.

    Raises:
        PretrainedError: If there is such a text.
    """
    exists = np.asarray(inputs.get("key_mask", np.ones((1, 1), bool)))
    for i, row in enumerate(exists):
        if not row[: row.sum()].all() or not row.any():
            raise PretrainedError(
                f"text {i} has the key_mask {row.astype(int).tolist()}; a text has at least one "
                "token, and its padding comes after it."
            )
