"""Successor heads: those that raise the logit of the token which comes next in some order."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int

from attn_jax.circuits.direct import direct_metric, direct_shares
from attn_jax.circuits.frozen import (
    DENOMINATORS,
    find_groups,
    layers_of,
    point_names,
    read,
)
from attn_jax.circuits.scores import Scores
from attn_jax.circuits.sites import Model, join_layers, names_of


def successor_scores(fn: Model, order: Int[Array, " m"]) -> Scores:
    """Return for how many tokens a head raises the logit of the next one most, directly.

    Args:
        fn: The model, as a function of tokens.
        order: Tokens that follow each other.

    Returns:
        The share of all tokens but the last, with the axes `layer` and `head`.
    """
    tokens = order[:-1, None]
    patterns = {"heads": "*.context", "others": ("*.mlp", "*.embedding"), "fixed": DENOMINATORS}
    groups = find_groups(fn, tokens, patterns, needed=["heads"], use="successor")
    places = groups["heads"]
    _, values = read(fn, point_names(*groups.values()), tokens)
    denominators = {name: values.pop(name) for name in point_names(groups["fixed"])}

    def shares(token: Array) -> list[Array]:
        logit = direct_metric(fn, tokens, lambda logits: logits[..., token].sum(), denominators)
        by_name = direct_shares(logit, values)
        return [layers_of(place, by_name) for place in places]

    # (m, layers, texts, 1, heads), for the logit of each token.
    raised = jax.lax.map(shares, order)
    is_next = jnp.arange(len(order))[:, None] == jnp.arange(1, len(order))[None, :]
    is_next = is_next[:, None, :, None, None]

    def share_of_hits(each: Array) -> Array:
        of_next = jnp.where(is_next, each, -jnp.inf).max(0)
        of_others = jnp.where(is_next, -jnp.inf, each).max(0)
        return (of_next > of_others).mean((1, 2))

    shares_of_hits = join_layers([share_of_hits(each) for each in raised])
    return Scores(shares_of_hits, ("layer", "head"), names_of(places))
