"""All heads of a batch, by the kernels of a device or in the form that XLA compiles."""

import jax
from jax import Array

from attn_jax.ops.streaming.blocks import Head
from attn_jax.ops.streaming.derivatives import attach
from attn_jax.ops.streaming.forward import Rows, Softmax, forward, visible_keys
from attn_jax.ops.streaming.plan import Arrays, Plan
from attn_jax.ops.streaming.summary_pass import WeightStatistics, weight_statistics


def attend(plan: Plan, arrays: Arrays) -> Rows:
    """Attend with every head; only the context has derivatives."""
    stopped = jax.lax.stop_gradient(arrays)
    if plan.kernel:
        # Pallas takes a third of a second to import, and few calls need it.
        from attn_jax.ops.streaming.pallas.kernels import attend_rows

        rows = attend_rows(plan, stopped)
    else:
        rows = plan.over_heads(lambda head: forward(plan.grid, plan.summary, head), stopped)
    return rows._replace(context=attach(plan, arrays, rows.softmax, rows.context))


def summarize_weights(
    plan: Plan, arrays: Arrays, softmax: Softmax, lanes: Array
) -> WeightStatistics:
    """Compute the statistics that need every head's finished weights."""
    if plan.kernel:
        from attn_jax.ops.streaming.pallas import kernels

        return kernels.weight_statistics(plan, arrays, softmax)

    def of_head(head: Head, softmax: Softmax, lanes: Array) -> WeightStatistics:
        return weight_statistics(plan.grid, plan.summary, head, softmax, lanes)

    return plan.over_heads(of_head, arrays, softmax, lanes)


def keys_seen(plan: Plan, arrays: Arrays) -> Array:
    """Return the keys, `(b, h, k)`, that at least one query of each head may see."""
    return plan.over_heads(lambda head: visible_keys(plan.grid, head), arrays)
