"""A checkpoint that was loaded."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
from flax import linen as nn
from jax import Array

from attn_jax.pretrained.reading.tokenizer import Tokenizer


@dataclasses.dataclass(frozen=True)
class Pretrained:
    """A model with the weights of a checkpoint: a function of arrays.

    Call it with what `encode` returns. Like any function with hook points it can be given to
    :func:`attn_jax.hooks.capture` and its kin, and to everything in `attn_jax.measure`. Under
    `jax.jit` its weights become constants of the program; `model.apply(variables, ...)` is the
    same function with the weights as an argument.

    Attributes:
        model: The Linen module.
        variables: Its parameters, `{"params": ...}`.
        config: The content of the checkpoint's `config.json`, or the same settings of a GGUF file.
        tokenizer: Its tokenizer.
        name: Where it came from.
    """

    model: nn.Module
    variables: dict[str, Any]
    config: dict[str, Any]
    tokenizer: Tokenizer
    name: str

    def __call__(self, inputs: dict[str, Any]) -> Array:
        """Return the output of the model: hidden states, or logits where it has a head."""
        apply: Any = self.model.apply
        return apply(self.variables, **inputs)

    def encode(self, texts: Sequence[str]) -> dict[str, Array]:
        """Return what the model takes, for a list of texts.

        Returns:
            `tokens`, `(batch, tokens)`, filled up on the right, and `key_mask`, which is True where
            there is a token.

        Raises:
            PretrainedError: If a text is empty or longer than the model's positions.
        """
        tokens, exists = self.tokenizer.encode(texts)
        return {"tokens": jnp.asarray(tokens), "key_mask": jnp.asarray(exists)}
