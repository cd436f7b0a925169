"""A checkpoint that was loaded."""

from __future__ import annotations

import dataclasses
from typing import Any

from flax import linen as nn
from jax import Array

from attn_jax.pretrained.errors import PretrainedError
from attn_jax.pretrained.generate import generate_tokens
from attn_jax.pretrained.head_matrices import HeadMatrices, head_matrices
from attn_jax.pretrained.reading.reader import Reader
from attn_jax.pretrained.reading.tokenizer import Tokenizer


@dataclasses.dataclass(frozen=True, eq=False)  # by identity, so that `jax.jit` can hash it
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
        reader: Makes the arguments of the model from texts, images or sounds.
        name: Where it came from.
    """

    model: nn.Module
    variables: dict[str, Any]
    config: dict[str, Any]
    reader: Reader
    name: str

    def __call__(self, inputs: dict[str, Any]) -> Array:
        """Return the output of the model: hidden states, or logits where it has a head."""
        apply: Any = self.model.apply
        return apply(self.variables, **inputs)

    def generate(self, inputs: dict[str, Array], steps: int) -> Array:
        """Write on, each time with the token of the largest logit.

        It is compiled once for each shape of the inputs and number of steps, and keeps the keys and
        values of earlier tokens.

        Args:
            inputs: What `encode` returns, for one text or for texts of equally many tokens.
            steps: The number of tokens to write.

        Returns:
            `(batch, tokens + steps)`, the tokens of the texts and those written.

        Raises:
            PretrainedError: If the model predicts no tokens or has no cache, the texts have
                different lengths, or there would be more tokens than positions.
        """
        tokens, key_mask = inputs["tokens"], inputs.get("key_mask")
        if not hasattr(self.model, "empty_cache"):
            raise PretrainedError(
                f"{type(self.model).__name__} does not generate; only the Llama line does."
            )
        if key_mask is not None and not key_mask.all():
            lengths = key_mask.sum(-1).tolist()
            raise PretrainedError(
                f"the texts have {lengths} tokens; generate from texts of equally many."
            )
        length = tokens.shape[1] + steps
        if steps < 1 or length > self.tokenizer.limit:
            raise PretrainedError(
                f"{tokens.shape[1]} tokens and {steps} steps make {length}; steps are at least 1, "
                f"and the model takes {self.tokenizer.limit} tokens."
            )
        return generate_tokens(self.model, self.variables, tokens, steps=steps)

    def head_matrices(self, pattern: str = "*", *, fold: str | None = None) -> HeadMatrices:
        """Return the weights of each head as matrices, for the study of circuits.

        Args:
            pattern: The attentions, all of one shape, as a glob: `"decoder.layers.*.attention"`.
            fold: The normalization before each attention whose `scale` is multiplied into query,
                key and value: `"attention_norm"` for GPT-2 and the Llama line. For one that centers
                features, the part of the matrices that reads their mean is removed too.

        Returns:
            `query`, `key` and `value`, `(layers, heads, features, head_dim)`, and `out`,
            `(layers, heads, head_dim, features)`. Positions, such as rotary ones, are left out.

        Raises:
            PretrainedError: If no attention matches, or they differ in shape.
        """
        return head_matrices(self.variables["params"], pattern, fold=fold)

    def encode(self, *args: Any, **kwargs: Any) -> dict[str, Array]:
        """Return what the model takes, by name: for a model of texts, call it with a list of them.

        The checkpoint's `reader` does it, and its `encode` says what it takes and returns.

        Raises:
            PretrainedError: If the input is empty, damaged or too long.
        """
        return self.reader.encode(*args, **kwargs)

    @property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer of a model that reads or writes texts.

        Raises:
            PretrainedError: If it does neither.
        """
        tokenizer = getattr(self.reader, "tokenizer", None)
        if tokenizer is None:
            raise PretrainedError(f"{self.name} reads no texts, so it has no tokenizer.")
        return tokenizer
