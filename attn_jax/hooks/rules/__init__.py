"""One rule for each primitive that holds jaxprs, one file for each group of them."""

from attn_jax.hooks.rules import branches, calls, derivatives, devices, loops
from attn_jax.hooks.rules.rule import Rule

RULES: dict[str, Rule] = {
    **calls.RULES,
    **loops.RULES,
    **branches.RULES,
    **derivatives.RULES,
    **devices.RULES,
}
"""By the name of the primitive, as some have other names in other versions of JAX."""
