r"""Monotonic attention (Raffel 2017): a reader moves from left to right and attends where it stops.

Starting where the previous query stopped, the reader stops at each key with probability
:math:`p_{ij} = \sigma(s_{ij})`, and otherwise passes it. In training the weights are the
probabilities of stopping at each key (soft). After training, the first key with :math:`p \ge 1/2`
gets all the weight (hard).
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Real

from attn_jax.ops.normalizers.softmax import Normalizer, masked_scores
from attn_jax.ops.scores.additive import additive_scores
from attn_jax.ops.scores.cosine import direction
from attn_jax.ops.stages import attend, prepare
from attn_jax.renames import renamed_arguments


@renamed_arguments(previous_weights="state")
def soft_monotonic(
    scores: Real[Array, "*b q k"],
    *,
    state: Real[Array, "*b k"] | None = None,
    mask: Bool[Array, "..."] | None = None,
) -> Float[Array, "*b q k"]:
    r"""Give each key the probability that a monotonic reader stops there.

    .. math:: \alpha_{ij} = p_{ij} \, r_{ij}, \qquad
              r_{ij} = (1 - p_{i,j-1})\, r_{i,j-1} + \alpha_{i-1,j}, \qquad p = \sigma(s)

    The probability :math:`r_{ij}` of reaching a key is a linear recurrence, which an associative
    scan evaluates for all keys at once. It only adds and multiplies numbers that are not negative,
    so it needs neither division nor logarithm: it is exact, with finite gradients for any scores.

    It is a normalizer whose queries are in order, so `scores` must have an axis of queries. A query
    that may attend to nothing gets zero weights and does not move the reader.

    Args:
        scores: `(*b, q, k)`, of any float type.
        state: :math:`\alpha_0`, the distribution of the reader's position before the first query;
            at the first key if None. In a decoding step, the weights of the previous step.
        mask: True = may attend; `(*b, q, k)` with ones allowed, `(q, k)` or `(k,)`. The reader
            passes a hidden key.

    Returns:
        Weights, in float32 at least, whose rows sum to at most one; the rest is the probability of
        passing all keys.

    Raises:
        TypeError: If the mask is not boolean.
        ValueError: If shapes do not fit together.

    Example:
        >>> soft_monotonic(jnp.zeros((2, 3))).tolist()
        [[0.5, 0.25, 0.125], [0.25, 0.25, 0.1875]]

    References:
        Raffel et al., "Online and Linear-Time Attention by Enforcing Monotonic Alignments", 2017,
        section 2.4 and appendix C. https://arxiv.org/abs/1704.00784
    """
    scores = masked_scores(scores, mask)
    return _expected(jax.nn.sigmoid(scores), jax.nn.sigmoid(-scores), scores, state)


@renamed_arguments(previous_weights="state")
def hard_monotonic(
    scores: Real[Array, "*b q k"],
    *,
    state: Real[Array, "*b k"] | None = None,
    mask: Bool[Array, "..."] | None = None,
) -> Float[Array, "*b q k"]:
    r"""Give all weight to the first key with :math:`s_{ij} \ge 0`, from the previous one on.

    It is :func:`soft_monotonic` with probabilities of zero and one. As the reader passes each key
    once, decoding takes linear time. The gradients are zero.

    Args:
        scores: `(*b, q, k)`, of any float type.
        state: One at the reader's position before the first query; at the first key if None.
        mask: True = may attend; `(*b, q, k)` with ones allowed, `(q, k)` or `(k,)`. The reader
            passes a hidden key.

    Returns:
        One at a single key for each query, or at none once the reader has passed the last key.

    Raises:
        TypeError: If the mask is not boolean.
        ValueError: If shapes do not fit together.

    Example:
        >>> hard_monotonic(jnp.array([[-1.0, 1.0, 1.0], [1.0, -1.0, 1.0]])).tolist()
        [[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]

    References:
        Raffel et al., "Online and Linear-Time Attention by Enforcing Monotonic Alignments", 2017,
        section 2.3 and algorithm 1. https://arxiv.org/abs/1704.00784
    """
    scores = masked_scores(scores, mask)
    stops = (scores >= 0).astype(scores.dtype)
    return _expected(stops, 1 - stops, scores, state)


# Outside of `jit` a loop whose body is a new function would compile anew at each call.
@functools.partial(jax.jit, inline=True)
def _expected(
    stop: jax.Array, go_on: jax.Array, scores: jax.Array, previous: jax.Array | None
) -> jax.Array:
    """Return the probability that the reader of each query stops at each key."""
    *batch, _, num_keys = scores.shape
    if previous is None:
        first = (jnp.arange(num_keys) == 0).astype(scores.dtype)
        previous = jnp.broadcast_to(first, (*batch, num_keys))
    elif previous.shape != (*batch, num_keys):
        raise ValueError(
            f"state has shape {previous.shape} but must have shape {(*batch, num_keys)}, "
            "(*batch, keys): the weights of the previous query."
        )
    # A query without a key to stop at would lose the reader: it would pass the last key for good.
    may_attend = (scores > -jnp.inf).any(axis=-1, keepdims=True)

    def step(previous, query):
        stop, go_on, may_attend = query
        weights = stop * _reached(go_on, previous)
        return jnp.where(may_attend, weights, previous), weights

    # Queries run in sequence, for each one starts where the one before it stopped.
    queries = (jnp.moveaxis(x, -2, 0) for x in (stop, go_on, may_attend))
    _, weights = lax.scan(step, previous.astype(scores.dtype), tuple(queries))
    return jnp.moveaxis(weights, 0, -2)


def _reached(go_on: jax.Array, previous: jax.Array) -> jax.Array:
    """Return the probability of reaching each key, the solution of a linear recurrence."""
    passed = jnp.concatenate([jnp.zeros_like(go_on[..., :1]), go_on[..., :-1]], axis=-1)

    # Pairs (a, c) stand for the maps r -> a r + c, whose composition is associative, so that all
    # keys are solved for in logarithmic depth.
    def join(earlier, later):
        return earlier[0] * later[0], earlier[1] * later[0] + later[1]

    return lax.associative_scan(join, (passed, previous), axis=-1)[1]


def monotonic_scores(
    query: Real[Array, "*b q d_q"],
    key: Real[Array, "*b k d_k"],
    *,
    w_query: Real[Array, "d_q a"],
    w_key: Real[Array, "d_k a"],
    v: Real[Array, " a"],
    b: Real[Array, " a"] | None = None,
    gain: float | Real[Array, ""] = 1.0,
    offset: float | Real[Array, ""] = 0.0,
) -> Float[Array, "*b q k"]:
    r"""Score by additive attention with a learnable gain and offset.

    .. math:: s_{ij} = g \frac{v^\top}{\|v\|} \tanh(W_q q_i + W_k k_j + b) + r

    Args:
        query: `(*b, q, d_q)`.
        key: `(*b, k, d_k)`.
        w_query: Projects queries to the hidden layer.
        w_key: Projects keys to the hidden layer.
        v: Weighs the hidden units; only its direction matters.
        b: Bias of the hidden layer, if any.
        gain: :math:`g`; the paper starts at one over the root of the hidden units.
        offset: :math:`r`; a negative start, such as the paper's -4, lets readers go far at first.

    Returns:
        Scores in float32 at least.

    Raises:
        ValueError: If the features do not fit the parameters.

    Example:
        >>> one = jnp.ones((1, 1))
        >>> scores = monotonic_scores(
        ...     one, one, w_query=one, w_key=one, v=5 * jnp.ones(1), gain=2.0, offset=-1.0
        ... )
        >>> round(float(scores[0, 0]), 4)  # 2 tanh(2) - 1
        0.9281
    """
    unit = direction(v)
    scores = additive_scores(query, key, w_query=w_query, w_key=w_key, v=unit, b=b)
    return gain * scores + offset


@renamed_arguments(previous_weights="state")
def monotonic_attention(
    query: Real[Array, "*b q d_q"],
    key: Real[Array, "*b k d_k"],
    value: Real[Array, "*b k d_v"],
    *,
    w_query: Real[Array, "d_q a"],
    w_key: Real[Array, "d_k a"],
    v: Real[Array, " a"],
    b: Real[Array, " a"] | None = None,
    gain: float | Real[Array, ""] = 1.0,
    offset: float | Real[Array, ""] = 0.0,
    state: Real[Array, "*b k"] | None = None,
    mask: Bool[Array, "..."] | None = None,
    bias: Real[Array, "..."] | None = None,
    key_mask: Bool[Array, "..."] | None = None,
    normalizer: Normalizer = soft_monotonic,
) -> tuple[Float[Array, "*b q d_v"], Float[Array, "*b q k"]]:
    r"""Attend from left to right, each query from where the previous one stopped.

    .. math:: w_i = \operatorname{monotonic}(s_i, w_{i-1}), \qquad
              s_{ij} = g \tfrac{v^\top}{\|v\|} \tanh(W_q q_i + W_k k_j + b) + r

    The paper adds noise to the scores in training, which drives the probabilities to zero and one;
    give it as `bias=jax.random.normal(rng, (*batch, q, k))`. Any other score becomes monotonic by
    its normalizer: `scaled_dot_product_attention(..., normalizer=soft_monotonic)`.

    Args:
        query: `(*b, q, d_q)`, in order.
        key: `(*b, k, d_k)`, in order.
        value: `(*b, k, d_v)`.
        w_query: Projects queries to the hidden layer.
        w_key: Projects keys to the hidden layer.
        v: Weighs the hidden units.
        b: Bias of the hidden layer, if any.
        gain: :math:`g`.
        offset: :math:`r`.
        state: The distribution of the reader's position before the first query; at the first key if
            None. In a decoding step, the weights of the previous step.
        mask: True = may attend; `(*b, q, k)` with ones allowed, `(q, k)` or `(k,)`.
        bias: Added to the scores, of the same shapes.
        key_mask: `(*b, k)`; True = the key exists.
        normalizer: `soft_monotonic` in training; `hard_monotonic` afterwards.

    Returns:
        The context `(*b, q, d_v)` and the weights `(*b, q, k)`.

    Raises:
        ValueError: If shapes do not fit together.
        TypeError: If a mask is not boolean.

    Example:
        >>> query, key = jnp.ones((2, 3)), jnp.ones((5, 4))
        >>> parameters = {"w_query": jnp.ones((3, 7)), "w_key": jnp.ones((4, 7)), "v": jnp.ones(7)}
        >>> _, weights = monotonic_attention(
        ...     query, key, key, **parameters, normalizer=hard_monotonic
        ... )
        >>> weights.tolist()
        [[1.0, 0.0, 0.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0, 0.0]]

    References:
        Raffel et al., "Online and Linear-Time Attention by Enforcing Monotonic Alignments", 2017,
        sections 2.3 to 2.6. https://arxiv.org/abs/1704.00784
    """
    query, key, value, mask, bias = prepare(
        query, key, value, mask=mask, bias=bias, key_mask=key_mask
    )
    scores = monotonic_scores(
        query, key, w_query=w_query, w_key=w_key, v=v, b=b, gain=gain, offset=offset
    )
    align = continue_from(normalizer, state)
    return attend(scores, value, mask=mask, bias=bias, normalizer=align)


def continue_from(
    normalizer: Callable[..., Array], state: Real[Array, "*b k"] | None
) -> Normalizer:
    """Return a monotonic normalizer that continues from a state, if there is one."""
    if state is None:
        return normalizer
    return functools.partial(normalizer, state=state)
