"""A checkpoint that was loaded."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, overload

from flax import linen as nn
from jax import Array

from attn_jax.hooks.plan import Spec
from attn_jax.pretrained.errors import PretrainedError
from attn_jax.pretrained.generation.rules import Rules
from attn_jax.pretrained.generation.sampling import sampling_of
from attn_jax.pretrained.generation.writer import Writer, Written, check_texts, frozen, write
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
        rules: What the checkpoint says about writing.
    """

    model: nn.Module
    variables: dict[str, Any]
    config: dict[str, Any]
    reader: Reader
    name: str
    rules: Rules = dataclasses.field(default_factory=Rules)

    def __call__(self, inputs: dict[str, Any]) -> Array:
        """Return the output of the model: hidden states, or logits where it has a head."""
        apply: Any = self.model.apply
        return apply(self.variables, **inputs)

    @overload
    def generate(
        self,
        inputs: dict[str, Array],
        steps: int,
        *,
        rng: Array | None = None,
        capture: None = None,
        **options: Any,
    ) -> Written: ...

    @overload
    def generate(
        self,
        inputs: dict[str, Array],
        steps: int,
        *,
        rng: Array | None = None,
        capture: Spec,
        **options: Any,
    ) -> tuple[Written, dict[str, Any]]: ...

    def generate(
        self,
        inputs: dict[str, Array],
        steps: int,
        *,
        rng: Array | None = None,
        capture: Spec | None = None,
        **options: Any,
    ) -> Written | tuple[Written, dict[str, Any]]:
        """Write on, in a program that is compiled once for each shape of the inputs.

        Args:
            inputs: What `encode` returns. Texts may have different numbers of tokens.
            steps: The number of tokens to write.
            rng: The random key, if tokens are drawn.
            capture: The hook points of :meth:`generating` to capture, as
                :func:`attn_jax.hooks.capture` takes them.
            **options: `temperature`, `top_k`, `top_p` and `stop`, as :meth:`generating` takes them.

        Returns:
            What was written; with `capture`, a pair of it and the captured values by name.

        Raises:
            PretrainedError: If the model predicts no tokens, there would be more of them than it
                takes, or an option is out of range.
            HookError: If nothing is to be captured, or there is no such hook point.
        """
        writer = self.generating(steps, **options)
        if not hasattr(self.model, "decode"):
            check_texts(inputs)
        return write(writer, inputs, rng, spec=None if capture is None else frozen(capture))

    def generating(
        self,
        steps: int,
        *,
        temperature: float = 0.0,
        top_k: int | None = None,
        top_p: float | None = None,
        stop: Sequence[int] | None = None,
    ) -> Writer:
        """Return the function that writes on, whose hook points can be read and edited.

        It takes the inputs, and `rng` if tokens are drawn, and can be given to everything that
        takes a function with hook points:

        - `prompt.layers.3.attention.weights` is the attention within the texts,
          `(batch, heads, tokens, tokens)`, as without writing.
        - `steps.*.layers.3.attention.weights` is that of each step, `(steps, batch, heads, 1,
          tokens + steps - 1)`: what the last token attended to when the next one was chosen. The
          keys are the tokens of each row, from its first. `steps.5.layers.3.attention.weights` is
          that of one step, and so an edit of a step is
          `intervene(write, {"steps.5.layers.3.attention.weights": edit})`.
        - `steps.*.token` is the choice itself, `(steps, batch)`.

        The same names stand in front of every hook point of the model. A decoder with an encoder
        has `encoder....` once, and `steps.*.decoder.layers.3.cross_attention.weights`. Steps after
        the end of a row say nothing.

        Args:
            steps: The number of tokens to write.
            temperature: Divides the logits before a token is drawn; at 0 the token of the largest
                logit is taken.
            top_k: Draw only among so many of the likeliest tokens.
            top_p: Draw only among the likeliest tokens that have this probability together.
            stop: Tokens that end a text; those of the checkpoint if None.

        Returns:
            A function `(inputs, rng=None)` that returns :class:`Written`.

        Raises:
            PretrainedError: If the model predicts no tokens, or an option is out of range.
        """
        if not hasattr(self.model, "empty_cache"):
            raise PretrainedError(
                f"{type(self.model).__name__} does not generate, as it predicts no next token."
            )
        if steps < 1:
            raise PretrainedError(f"steps={steps} must be at least 1.")
        rules = self.rules if stop is None else dataclasses.replace(self.rules, stop=tuple(stop))
        sampling = sampling_of(temperature, top_k, top_p)
        return Writer(self.variables, sampling, self.model, rules, steps)

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

    @property
    def target_tokenizer(self) -> Tokenizer:
        """The tokenizer of what the model writes, often the same as that of what it reads.

        Raises:
            PretrainedError: If it does neither.
        """
        return getattr(self.reader, "target_tokenizer", None) or self.tokenizer
