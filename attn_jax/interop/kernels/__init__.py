"""Known attention kernels: rules by which `tap_attention` gives their calls hook points.

A kernel that attends block by block never holds its weights, so no softmax over whole rows is to be
found in it. A rule recognizes the call instead, and :func:`tap_context` gives it the hook points of
:func:`attn_jax.ops.attention`: `scores` and `weights`, which are computed from the operands if
somebody asks, `summary`, which never holds them, and `context`. An edit of scores or weights
replaces the result of the kernel.

A rule for a kernel of your own is a function of an equation of the program. It returns None for all
equations but the calls of that kernel, and for these a function that taps their results:

.. code-block:: python

    def my_rule(eqn):
        if eqn.params.get("name") != "my_kernel":
            return None

        def tap_call(results, operands):
            query, key, value = operands
            return [tap_context(results[0], query, key, value, causal=True)]

        return tap_call


    fn = tap_attention(fn, rules=[*kernels.RULES, my_rule])
"""

from attn_jax.interop.kernels.context import tap_context
from attn_jax.interop.kernels.flash_attention_jax import blockwise_flash_attention
from attn_jax.interop.kernels.pallas_gpu import pallas_gpu_attention
from attn_jax.interop.kernels.pallas_tpu import pallas_tpu_flash_attention

RULES = (pallas_gpu_attention, pallas_tpu_flash_attention, blockwise_flash_attention)
"""The rules of all kernels that are known here, for `tap_attention(fn, rules=kernels.RULES)`."""

__all__ = [
    "RULES",
    "blockwise_flash_attention",
    "pallas_gpu_attention",
    "pallas_tpu_flash_attention",
    "tap_context",
]
