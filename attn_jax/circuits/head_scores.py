"""Scores of what each head does, from its attention on tokens that are known."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int

from attn_jax.circuits.frozen import layers_of, point_names
from attn_jax.circuits.prompts import Needles
from attn_jax.circuits.scores import Scores
from attn_jax.circuits.sites import Model, Pattern, Place, find_places, join_layers, names_of
from attn_jax.circuits.successors import successor_scores
from attn_jax.hooks import HookError, capture
from attn_jax.hooks.freed import run_freed

AXES = ("layer", "head")


def head_scores(
    fn: Model,
    tokens: Int[Array, "n t"],
    *,
    needles: Needles | None = None,
    order: Int[Array, " m"] | None = None,
    attention: Pattern = "*.weights",
) -> dict[str, Scores]:
    r"""Return what each head does, a table of layers and heads for each score.

    The first five scores are the mean, over the queries that have such keys, of the weight on the
    keys :math:`k` of a query :math:`q`, where :math:`x` are the tokens:

    - `previous_token`: :math:`k = q - 1`;
    - `current_token`: :math:`k = q`;
    - `first_token`, the sink: :math:`k = 0`, for :math:`q > 0`;
    - `duplicate_token`: :math:`k < q` and :math:`x_k = x_q`;
    - `induction`: :math:`0 < k \le q` and :math:`x_{k-1} = x_q`, the token after an earlier one.

    On :func:`repeated_tokens`, `t` in all, a causal head that attends to everything alike scores
    :math:`(H_t - 1)/(t - 1)`, :math:`H_t/t`, :math:`(H_t - 1)/(t - 1)`, and twice
    :math:`2(H_t - H_{t/2})/t`, where :math:`H_t = 1 + 1/2 + \ldots + 1/t`: for `t = 100` these are
    0.042, 0.052, 0.042, 0.014 and 0.014. A score is NaN if no query has such keys, as the last two
    on tokens without repetition.

    - `retrieval`, given `needles`: the share of the tokens of the answer for which the query before
      attends most to the same token in the needle. A random head scores about :math:`1/t`.
    - `successor`, given an `order`: the share of tokens for which, of all logits of the order, the
      head raises that of the next token most, directly, as the model reads the token alone. A
      random head scores :math:`1/m`. It also needs the hook points of
      :func:`direct_logit_attribution`.

    Args:
        fn: The model as a function of tokens, `lambda tokens: model({"tokens": tokens})`.
        tokens: Usually :func:`repeated_tokens`.
        needles: Texts with a needle, usually :func:`needle_tokens`.
        order: Tokens that follow each other: the months, the numbers.
        attention: The hook points of the weights, `(n, h, t, t)`.

    Returns:
        The scores by name, each with the axes `layer` and `head`.

    Raises:
        HookError: If the model has no such hook points, or the weights are not those of `tokens`
            on themselves.

    Example:
        >>> from attn_jax.circuits import head_scores
        >>> from attn_jax.hooks import tap
        >>> def fn(tokens):  # one head, which attends to the token itself
        ...     return tap("layers.0.weights", jnp.eye(4)[None, None])
        >>> scores = head_scores(fn, jnp.array([[5, 7, 5, 7]]))
        >>> scores["current_token"].values, scores["induction"].values
        (Array([[1.]], dtype=float32), Array([[0.]], dtype=float32))

    References:
        Olsson et al., "In-context Learning and Induction Heads", 2022.
        https://arxiv.org/abs/2209.11895
        Wang et al., "Interpretability in the Wild", 2022, for duplicate-token heads.
        https://arxiv.org/abs/2211.00593
        Xiao et al., "Efficient Streaming Language Models with Attention Sinks", 2023.
        https://arxiv.org/abs/2309.17453
        Wu et al., "Retrieval Head Mechanistically Explains Long-Context Factuality", 2024.
        https://arxiv.org/abs/2404.15574
        Gould et al., "Successor Heads", 2023. https://arxiv.org/abs/2312.09230
    """
    places = find_places(fn, tokens, attention, use="head_scores")
    _check_weights(places, tokens.shape)

    size = 0 if needles is None else needles.size

    def score(tokens: Array, needle: Any, order: Array | None) -> dict[str, Scores]:
        targets = attended_keys(tokens)
        rows = _reduced(fn, places, tokens, functools.partial(_mean_weights, targets))
        tables = {name: [row[:, i] for row in rows] for i, name in enumerate(targets)}
        if needle is not None:
            text, starts = needle
            look_up = functools.partial(_looked_up, text, starts, size)
            tables["retrieval"] = _reduced(fn, places, text, look_up)
        scores = {
            name: Scores(join_layers(rows), AXES, names_of(places)) for name, rows in tables.items()
        }
        return scores if order is None else scores | {"successor": successor_scores(fn, order)}

    return run_freed(score, tokens, needles and needles[:2], order)


def attended_keys(tokens: Int[Array, "n t"]) -> dict[str, Bool[Array, "n t t"]]:
    """Return, by score, the keys that a head of that kind attends to from each query."""
    places = jnp.arange(tokens.shape[1])
    query, key = places[None, :, None], places[None, None, :]
    same = tokens[:, :, None] == tokens[:, None, :]
    after_same = jnp.pad(same[:, :, :-1], ((0, 0), (0, 0), (1, 0)))
    keys = {
        "previous_token": key == query - 1,
        "current_token": key == query,
        "first_token": (key == 0) & (query > 0),
        "duplicate_token": (key < query) & same,
        "induction": (key <= query) & after_same,
    }
    return {name: jnp.broadcast_to(each, same.shape) for name, each in keys.items()}


def _reduced(
    fn: Model, places: Sequence[Place], tokens: Array, reduce: Callable[[Array], Array]
) -> list[Array]:
    """Return a reduction of the weights at each place, a row for each of its layers."""
    _, rows = capture(fn, dict.fromkeys(point_names(places), reduce))(tokens)
    return [layers_of(place, rows) for place in places]


def _mean_weights(targets: dict[str, Array], weights: Array) -> Array:
    """Return the mean weight on the keys of each score, by head."""
    keys = jnp.stack(list(targets.values()))
    queries = keys.any(-1).sum((-2, -1))
    return jnp.einsum("nhqk,snqk->sh", weights, keys) / queries[:, None]


def _looked_up(text: Array, starts: Array, size: int, weights: Array) -> Array:
    """Return the share of a needle's tokens that each head attends to before they come again."""
    best = weights[:, :, -size - 1 : -1].argmax(-1)
    is_inside = (best >= starts[:, None, None]) & (best < starts[:, None, None] + size)
    is_same = jax.vmap(lambda row, best: row[best])(text, best) == text[:, None, -size:]
    return (is_inside & is_same).mean((0, 2))


def _check_weights(places: Sequence[Place], shape: tuple[int, ...]) -> None:
    for place in places:
        if place.point.shape[-2:] != (shape[1], shape[1]) or len(place.point.shape) != 4:
            raise HookError(
                f"the weights {place.point.name!r} have the shape {list(place.point.shape)}, and "
                f"(n, heads, {shape[1]}, {shape[1]}) is needed for {shape[1]} tokens; choose "
                "self-attention with attention=, such as 'decoder.layers.*.attention.weights'."
            )
