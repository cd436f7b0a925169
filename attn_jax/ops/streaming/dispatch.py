"""All heads of a batch, by the kernels of a device or in the form that XLA compiles."""

import functools

import jax
from jax import Array

from attn_jax.ops.streaming.cpu import calls
from attn_jax.ops.streaming.derivatives import attach
from attn_jax.ops.streaming.forward import Rows, Softmax, forward, visible_keys
from attn_jax.ops.streaming.plan import Arrays, Plan
from attn_jax.ops.streaming.summary_pass import WeightStatistics, weight_statistics


def attend(plan: Plan, arrays: Arrays) -> Rows:
    """Attend with every head; only the context has derivatives."""
    stopped = jax.lax.stop_gradient(arrays)
    if plan.kernel == "cpu":
        rows = calls.attend_rows(plan, stopped)
    elif plan.kernel:
        # Pallas takes a third of a second to import, and few calls need it.
        from attn_jax.ops.streaming.pallas.kernels import attend_rows

        rows = attend_rows(plan, stopped)
    else:
        rows = plan.over_heads(functools.partial(forward, plan.grid, plan.summary), stopped)
    return rows._replace(context=attach(plan, arrays, rows.softmax, rows.context))


def summarize_weights(
    plan: Plan, arrays: Arrays, softmax: Softmax, lanes: Array
) -> WeightStatistics:
    """Compute the statistics that need every head's finished weights."""
    if plan.kernel == "cpu":
        return calls.weight_statistics(plan, arrays, softmax)
    if plan.kernel:
        from attn_jax.ops.streaming.pallas import kernels

        return kernels.weight_statistics(plan, arrays, softmax)

    of_head = functools.partial(weight_statistics, plan.grid, plan.summary)
    return plan.over_heads(of_head, arrays, softmax, lanes)


def keys_seen(plan: Plan, arrays: Arrays) -> Array:
    """Return the keys, `(b, h, k)`, that at least one query of each head may see."""
    return plan.over_heads(functools.partial(visible_keys, plan.grid), arrays)
