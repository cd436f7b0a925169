"""One rule for each primitive that contains jaxprs, one file for each kind of them."""

from attn_jax.hooks.rules import branches, calls, derivatives, devices, high_level, loops
from attn_jax.hooks.rules.rule import Rule

RULES: dict[str, Rule] = {
    **calls.RULES,
    **loops.RULES,
    **branches.RULES,
    **derivatives.RULES,
    **devices.RULES,
    **high_level.RULES,
}
"""The rules by the name of the primitive, which may differ between versions of JAX."""
