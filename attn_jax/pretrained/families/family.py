"""What a family of checkpoints is: a module, and a table from its names to ours."""

import dataclasses
import sys
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from attn_jax.pretrained.errors import PretrainedError
from attn_jax.pretrained.reading.checkpoint import Checkpoint
from attn_jax.pretrained.reading.convert import Table
from attn_jax.pretrained.reading.reader import PairReader, Reader, TextReader
from attn_jax.pretrained.reading.tokenizer import Tokenizer

Config = dict[str, Any]


def setting(config: Config, *names: str, default: Any = None) -> Any:
    """Return the first of these settings that a configuration has.

    Raises:
        PretrainedError: If it has none of them and there is no default.
    """
    for name in names:
        if config.get(name) is not None:
            return config[name]
    if default is None:
        raise PretrainedError(f"config.json has no {names[0]!r}; fetch the checkpoint again.")
    return default


def some_tokens(config: Config) -> dict[str, jax.ShapeDtypeStruct]:
    """Return the shapes of arguments that initialize a model of tokens."""
    return {"tokens": jax.ShapeDtypeStruct((1, 2), jnp.int32)}


def some_pairs(config: Config) -> dict[str, jax.ShapeDtypeStruct]:
    """Return the shapes of arguments that initialize an encoder and a decoder of tokens."""
    return {**some_tokens(config), "decoder_tokens": jax.ShapeDtypeStruct((1, 2), jnp.int32)}


def text_reader(checkpoint: Checkpoint, skipped_positions: int = 0) -> TextReader:
    """Return the reader of texts.

    Args:
        checkpoint: The checkpoint.
        skipped_positions: How many positions stand before that of the first token.
    """
    config = checkpoint.config
    limit = setting(config, "max_position_embeddings", "n_positions") - skipped_positions
    pad = setting(config, "pad_token_id", default=0)
    return TextReader(Tokenizer(checkpoint.rules(), pad=pad, limit=limit))


def pair_reader(checkpoint: Checkpoint) -> PairReader:
    """Return the reader of texts, and of what they become, for an encoder and a decoder."""
    config = checkpoint.config
    pad = setting(config, "pad_token_id", default=0)
    tokenizer, target_tokenizer = (
        # Relative positions have no end.
        Tokenizer(rules, pad=pad, limit=config.get("max_position_embeddings", sys.maxsize))
        for rules in (checkpoint.rules(), (checkpoint.target_rules or checkpoint.rules)())
    )
    start = setting(config, "decoder_start_token_id", default=pad)
    return PairReader(tokenizer, target_tokenizer, start)


@dataclasses.dataclass(frozen=True)
class Family:
    """A family of checkpoints.

    Attributes:
        model_type: Its name in `config.json`.
        from_config: Returns the module.
        table: From the checkpoint's names to our parameters.
        prefix: What stands before every name in checkpoints that have a head.
        ignored: Patterns of tensors without a place in the model.
        fused: For each module that holds several, stored as one, its parts.
        synonyms: Returns, for a tensor that checkpoints store under one of several names or under
            all of them, such as an embedding that is also the head, the other names.
        optional: The paths of our parameters that are zero if no tensor has their values.
        example: Returns the shapes of arguments that initialize the module.
        reader: Returns what makes the module's arguments from texts, images or sounds.
    """

    model_type: str
    from_config: Callable[[Config], nn.Module]
    table: Table
    prefix: str
    ignored: tuple[str, ...] = ()
    fused: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    synonyms: Callable[[Config], Mapping[str, tuple[str, ...]]] = lambda config: {}
    optional: tuple[str, ...] = ()
    example: Callable[[Config], dict[str, jax.ShapeDtypeStruct]] = some_tokens
    reader: Callable[[Checkpoint], Reader] = text_reader
