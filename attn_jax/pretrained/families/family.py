"""What a family of checkpoints is: a module, and a table from its names to ours."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from flax import linen as nn

from attn_jax.pretrained.errors import PretrainedError
from attn_jax.pretrained.reading.convert import Table

Config = dict[str, Any]


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
        copies: Returns patterns of tensors that repeat others, such as a tied head.
        skipped_positions: Returns how many positions stand before that of the first token.
    """

    model_type: str
    from_config: Callable[[Config], nn.Module]
    table: Table
    prefix: str
    ignored: tuple[str, ...] = ()
    fused: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    copies: Callable[[Config], tuple[str, ...]] = lambda config: ()
    skipped_positions: Callable[[Config], int] = lambda config: 0


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
