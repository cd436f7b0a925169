"""The memory that summaries of long attention take, as the compiler counts it."""

from typing import Any

import jax
import jax.numpy as jnp

from attn_jax.hooks import capture
from attn_jax.pretrained.families import family_of

TOKENS = 8192


def temporaries(config: dict[str, Any], *, scan: bool) -> int:
    """Compile a model that captures summaries and predicts one token; return its temporary bytes.

    Args:
        config: The configuration of a language model, whose weights do not matter.
        scan: Whether its layers run as one scan.
    """
    module: Any = family_of(config).from_config(config).clone(scan=scan)
    short = jax.ShapeDtypeStruct((1, 2), jnp.int32)
    variables = jax.eval_shape(module.init, jax.random.key(0), short)

    def last(variables: Any, tokens: jax.Array) -> jax.Array:
        return module.apply(variables, tokens, logits_at=jnp.array([-1]))

    seen = jax.jit(capture(last, "layers.*.attention.summary"))
    compiled = seen.lower(variables, jax.ShapeDtypeStruct((1, TOKENS), jnp.int32)).compile()
    analysis: Any = compiled.memory_analysis()
    return analysis.temp_size_in_bytes
