"""The doors of the benchmark `latency`: calls that users begin with, on small arrays."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

Door = Callable[[], Callable[[], Any]]
"""Import, make small inputs, and return the call."""


def fused() -> Callable[[], Any]:
    """Return a call of the fused attention, outside of `jit`."""
    import jax.numpy as jnp

    from attn_jax import ops

    x = jnp.ones((64, 2, 16))
    return lambda: ops.attention(x, x, x, causal=True)


def streamed() -> Callable[[], Any]:
    """Return a call of the streaming attention with statistics, outside of `jit`."""
    import jax.numpy as jnp

    from attn_jax import ops

    x = jnp.ones((1024, 2, 16))
    summary = ops.Summary(entropy=True, received=True)
    return lambda: ops.streaming_attention(x, x, x, causal=True, summary=summary)


def gradient() -> Callable[[], Any]:
    """Return a gradient of the attention of long sequences, outside of `jit`."""
    import jax
    import jax.numpy as jnp

    from attn_jax import ops

    x = jnp.ones((1024, 2, 16))
    return lambda: jax.grad(lambda x: ops.attention(x, x, x).sum())(x)


def captured() -> Callable[[], Any]:
    """Return a capture of weights of a fused attention."""
    import jax.numpy as jnp

    from attn_jax import ops
    from attn_jax.hooks import capture

    x = jnp.ones((64, 2, 16))
    return lambda: capture(ops.attention, "weights")(x, x, x, causal=True)


def captured_loop() -> Callable[[], Any]:
    """Return a capture in a scan whose function is made anew at each call."""
    import jax
    import jax.numpy as jnp

    from attn_jax.hooks import capture, tap

    def call() -> Any:
        def layers(x: jax.Array) -> jax.Array:
            return jax.lax.scan(lambda x, _: (tap("state", 2 * x), None), x, length=4)[0]

        return capture(layers)(jnp.ones(64))

    return call


def entropy_by_rows() -> Callable[[], Any]:
    """Return an entropy by blocks of rows."""
    import jax
    import jax.numpy as jnp

    from attn_jax.hooks import entropy, row_blocked

    weights = jax.nn.softmax(jnp.ones((2, 64, 64)))
    return lambda: row_blocked(entropy, 16)(weights)


def module() -> Callable[[], Any]:
    """Return a call of a module with its weights."""
    import jax
    import jax.numpy as jnp

    from attn_jax import nn

    x, attend = jnp.ones((1, 64, 32)), nn.MultiHeadAttention(num_heads=2)
    variables = attend.init(jax.random.key(0), x, x)
    return lambda: nn.apply_with_weights(attend, variables, x, x)


def _classify(x: Any) -> Any:
    import jax

    from attn_jax.hooks import tap

    weights = tap("weights", jax.nn.softmax(4 * x[..., 0]))
    return 9 * (weights[:, None] @ x)[:, 0]


def report_card() -> Callable[[], Any]:
    """Return a report card of a small model."""
    import jax

    from attn_jax import measure

    x = jax.random.normal(jax.random.key(1), (40, 11, 2))
    return lambda: measure.report_card(_classify, x)


def ablation() -> Callable[[], Any]:
    """Return an ablation of all heads of a model that is made anew at each call."""
    import jax.numpy as jnp

    from attn_jax import circuits
    from attn_jax.hooks import tap

    x = jnp.ones((1, 4, 3))

    def call() -> Any:
        def fn(x: Any) -> Any:
            return tap("layers.0.attention.context", jnp.stack([x, 2 * x], 2)).sum((2, 3))

        return circuits.ablate_heads(fn, x, jnp.sum)

    return call


def figure() -> Callable[[], Any]:
    """Return the drawing of a map of every head, saved."""
    import numpy as np

    from attn_jax import plot

    weights, path = np.full((2, 4, 16, 16), 1 / 16), Path(tempfile.mkdtemp()) / "heads.png"
    return lambda: plot.heads(weights).savefig(path)


def page() -> Callable[[], Any]:
    """Return the writing of a viewer's page."""
    import numpy as np

    from attn_jax import plot

    weights, path = np.full((2, 4, 32, 32), 1 / 32), Path(tempfile.mkdtemp()) / "page.html"
    return lambda: plot.viewer(weights).save(path)


DOORS: dict[str, Door] = {
    "ops.attention": fused,
    "ops.streaming_attention, with a summary": streamed,
    "gradient of ops.attention, long": gradient,
    "hooks.capture of a fused call": captured,
    "hooks.capture in a loop made anew": captured_loop,
    "hooks.row_blocked": entropy_by_rows,
    "nn.apply_with_weights": module,
    "measure.report_card": report_card,
    "circuits.ablate_heads of a model made anew": ablation,
    "plot.heads, saved": figure,
    "plot.viewer, saved": page,
}
