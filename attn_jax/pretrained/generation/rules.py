"""What a checkpoint says about writing."""

import dataclasses
from collections.abc import Iterable
from typing import Any

import jax.numpy as jnp
from jax import Array
from jaxtyping import Bool, Float, Int


@dataclasses.dataclass(frozen=True)
class Rules:
    """The rules of a checkpoint for what its model writes.

    Attributes:
        stop: The tokens that end a text.
        pad: The token that fills up texts that have ended.
        suppressed: Tokens that are never written.
        suppressed_first: Tokens that are not written first.
        first: The token that a decoder writes first, after the one with which it begins.
        limit: The most tokens that the model takes; None if there is no limit.
    """

    stop: tuple[int, ...] = ()
    pad: int = 0
    suppressed: tuple[int, ...] = ()
    suppressed_first: tuple[int, ...] = ()
    first: int | None = None
    limit: int | None = None

    def permit(self, logits: Float[Array, "b v"], step: Int[Array, ""]) -> Float[Array, "b v"]:
        """Return the logits with minus infinity for tokens that are not written at a step."""
        if self.suppressed:
            logits = logits.at[:, list(self.suppressed)].set(-jnp.inf)
        first = logits
        if self.suppressed_first:
            first = first.at[:, list(self.suppressed_first)].set(-jnp.inf)
        if self.first is not None:
            first = jnp.full_like(first, -jnp.inf).at[:, self.first].set(0.0)
        return jnp.where(step == 0, first, logits)

    def ends(self, tokens: Int[Array, " b"]) -> Bool[Array, " b"]:
        """Return which tokens end a text."""
        return jnp.isin(tokens, jnp.asarray(self.stop, tokens.dtype))


def rules_of(config: dict[str, Any], generation: dict[str, Any]) -> Rules:
    """Return the rules that a checkpoint's files ask for.

    Args:
        config: The content of `config.json`.
        generation: That of `generation_config.json`, which comes first; empty if there is none.
    """
    settings = config | {name: value for name, value in generation.items() if value is not None}
    stop = _numbers(settings.get("eos_token_id"))
    pad = settings.get("pad_token_id")
    words = settings.get("bad_words_ids") or ()
    return Rules(
        stop=stop,
        pad=next(iter(stop), 0) if pad is None else pad,
        suppressed=(
            *_numbers(settings.get("suppress_tokens")),
            *(word[0] for word in words if len(word) == 1),
        ),
        suppressed_first=_numbers(settings.get("begin_suppress_tokens")),
        first=settings.get("forced_bos_token_id"),
        limit=_limit(config),
    )


def _limit(config: dict[str, Any]) -> int | None:
    if config.get("model_type") in ("t5", "mt5"):  # their positions are distances, without an end
        return None
    names = ("max_target_positions", "max_position_embeddings", "n_positions")
    return next((config[name] for name in names if config.get(name)), None)


def _numbers(value: int | Iterable[int] | None) -> tuple[int, ...]:
    if value is None:
        return ()
    return (value,) if isinstance(value, int) else tuple(value)
