r"""Sparsemax (Martins 2016) and α-entmax (Peters 2019), relatives of softmax with exact zeros.

All maximize the expected score plus a Tsallis entropy, and their weights have one form,

.. math:: w_j = \big[1 + (\alpha - 1)(s_j - c)\big]_+^{1/(\alpha - 1)},

where :math:`c` makes them sum to one; :math:`\alpha \to 1` gives softmax. The papers' threshold is
:math:`\tau = (\alpha - 1) c - 1`; written with :math:`c`, no formula divides by
:math:`\alpha - 1 = 0`. For :math:`\alpha \le 2` the sum is a convex, decreasing function of
:math:`c`. Newton's method that starts at the largest score therefore rises to the root without
passing it, and needs no sorting.
"""

import functools

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Real

from attn_jax.ops.normalizers.softmax import masked_scores
from attn_jax.ops.shapes import broadcast_to_scores

# Newton's method needs about eight steps. Above alpha = 2 the sum is not convex, so bisection
# steps in between, which take more.
_STEPS = 24


def sparsemax(
    scores: Real[Array, "*b k"], *, mask: Bool[Array, "..."] | None = None
) -> Float[Array, "*b k"]:
    r"""Project the scores onto the probability simplex: :math:`w_j = [s_j - \tau]_+`.

    Scores more than one below the largest always get weight zero.

    Args:
        scores: `(*b, k)`, of any real type.
        mask: True = may attend; `(*b, k)` with ones allowed, `(q, k)` or `(k,)`.

    Returns:
        Weights that sum to one, or are all zero where nothing is allowed; float32 at least.

    Raises:
        TypeError: If the mask is not boolean.
        ValueError: If the mask does not broadcast to the scores.

    Example:
        >>> sparsemax(jnp.array([1.0, 0.5, -1.0])).tolist()
        [0.75, 0.25, 0.0]

    References:
        Martins and Astudillo, "From Softmax to Sparsemax", 2016, section 2.
        https://arxiv.org/abs/1602.02068
    """
    return _tsallis(masked_scores(scores, mask), 2.0)


def entmax15(
    scores: Real[Array, "*b k"], *, mask: Bool[Array, "..."] | None = None
) -> Float[Array, "*b k"]:
    r"""Normalize halfway between softmax and sparsemax: :math:`w_j = [s_j / 2 - \tau]_+^2`.

    Scores more than two below the largest always get weight zero.

    Args:
        scores: `(*b, k)`, of any real type.
        mask: True = may attend; `(*b, k)` with ones allowed, `(q, k)` or `(k,)`.

    Returns:
        Weights that sum to one, or are all zero where nothing is allowed; float32 at least.

    Raises:
        TypeError: If the mask is not boolean.
        ValueError: If the mask does not broadcast to the scores.

    Example:
        >>> [round(float(w), 4) for w in entmax15(jnp.array([1.0, 0.5, -1.0]))]
        [0.674, 0.326, 0.0]

    References:
        Peters, Niculae and Martins, "Sparse Sequence-to-Sequence Models", 2019, section 3.
        https://arxiv.org/abs/1905.05702
    """
    return _tsallis(masked_scores(scores, mask), 1.5)


def entmax(
    scores: Real[Array, "*b k"],
    alpha: float | int | Real[Array, "..."] = 1.5,
    *,
    mask: Bool[Array, "..."] | None = None,
) -> Float[Array, "*b k"]:
    r"""Normalize anywhere between softmax (:math:`\alpha = 1`) and sparsemax (2), or beyond.

    It is differentiable with respect to :math:`\alpha`, so heads can learn how sparse to be. As a
    normalizer with another alpha, use `functools.partial(entmax, alpha=1.3)`.

    Args:
        scores: `(*b, k)`, of any real type.
        alpha: :math:`\alpha \ge 1`. Far above 2 float32 loses digits: at 4 the weights, cube roots
            of small differences, are accurate to 1e-2. An array broadcasts to `(*b, 1)`; one alpha
            per head of scores `(*b, h, q, k)` has shape `(h, 1, 1)`.
        mask: True = may attend; `(*b, k)` with ones allowed, `(q, k)` or `(k,)`.

    Returns:
        Weights that sum to one, or are all zero where nothing is allowed; float32 at least.

    Raises:
        TypeError: If the mask is not boolean.
        ValueError: If alpha is a number below one, or alpha or mask do not broadcast.

    Example:
        >>> [round(float(w), 4) for w in entmax(jnp.array([1.0, 0.5, -1.0]), 1.2)]
        [0.6199, 0.3461, 0.0341]

    References:
        Peters, Niculae and Martins, "Sparse Sequence-to-Sequence Models", 2019, section 3.
        https://arxiv.org/abs/1905.05702
        Correia, Niculae and Martins, "Adaptively Sparse Transformers", 2019, section 3, for the
        derivative with respect to alpha. https://arxiv.org/abs/1909.00015
    """
    if isinstance(alpha, float | int) and alpha < 1:
        raise ValueError(f"alpha={alpha} must be at least 1; 1 is softmax and 2 is sparsemax.")
    scores = masked_scores(scores, mask)
    alpha = jnp.asarray(alpha, scores.dtype)
    return _entmax(scores, broadcast_to_scores("alpha", alpha, (*scores.shape[:-1], 1)))


def _below_largest(scores: jax.Array) -> jax.Array:
    """Subtract the largest score of each row, which changes no weight; rows of -inf stay."""
    largest = jnp.max(scores, axis=-1, keepdims=True, initial=-jnp.inf)
    return scores - jnp.where(largest == -jnp.inf, 0, largest)


def _divide(x: jax.Array, total: jax.Array) -> jax.Array:
    """Divide; a total of zero, of a row with nothing to attend to, gives zero."""
    return x / jnp.where(total > 0, total, 1)


def _sum(x: jax.Array) -> jax.Array:
    return x.sum(axis=-1, keepdims=True)


# Both searches are compiled as fixed functions: outside of `jit` a loop whose body is a new
# function would compile anew at each call.
@functools.partial(jax.custom_jvp, nondiff_argnums=(1,))
@functools.partial(jax.jit, static_argnums=1, inline=True)
def _tsallis(scores: jax.Array, alpha: float) -> jax.Array:
    """Return the weights for an alpha of 1.5 or 2, which need no general power."""
    scores = _below_largest(scores)

    def weights(c):
        base = jnp.maximum(1 + (alpha - 1) * (scores - c), 0)
        return base if alpha == 2 else base**2

    # The sum is convex and decreasing in c, so a Newton step from the left never overshoots; the
    # maximum with the old c stops the loop once rounding would step back.
    def step(state):
        _, c = state
        w = weights(c)
        newton = c + _divide(_sum(w) - 1, _sum(_slope(w, alpha)))
        return c, jnp.maximum(c, newton)

    # The largest score is zero now, so at c = 0 its weight is one and the sum is at least one.
    start = _sum(jnp.zeros_like(scores))
    _, c = lax.while_loop(lambda state: (state[1] > state[0]).any(), step, (start - 1, start))
    return _normalized(weights(c))


@_tsallis.defjvp
def _tsallis_jvp(alpha, primals, tangents):
    weights = _tsallis(*primals, alpha)
    return weights, _score_tangent(_slope(weights, alpha), tangents[0])


def _normalized(weights: jax.Array) -> jax.Array:
    """Divide by the sum, which removes its last rounding error."""
    return _divide(weights, _sum(weights))


def _slope(weights: jax.Array, alpha: float | jax.Array) -> jax.Array:
    r"""Return the derivative of a weight by its score at a fixed c, :math:`w^{2 - \alpha}`."""
    # The root's derivative at zero is infinite and would make second derivatives NaN, even though
    # the outer `where` drops the value: so the root must not see a zero.
    positive = jnp.where(weights > 0, weights, 1)
    if isinstance(alpha, float):
        slope = jnp.ones_like(positive) if alpha == 2 else jnp.sqrt(positive)
    else:
        slope = positive ** (2 - alpha)
    return jnp.where(weights > 0, slope, 0)


def _score_tangent(slope: jax.Array, tangent: jax.Array) -> jax.Array:
    """Return the tangent of the weights; c moves so that their sum stays one."""
    return slope * (tangent - _divide(_sum(slope * tangent), _sum(slope)))


def _power(base: jax.Array, a: jax.Array) -> jax.Array:
    r"""Compute :math:`[1 + a y]_+^{1/a}`, which for `a = 0` is :math:`\exp y`."""
    safe = jnp.where(a == 0, 1, a)
    inside = safe * base
    log = jnp.log1p(jnp.where(inside > -1, inside, 0)) / safe
    return jnp.where(a == 0, jnp.exp(base), jnp.where(inside > -1, jnp.exp(log), 0))


@jax.custom_jvp
@functools.partial(jax.jit, inline=True)
def _entmax(scores: jax.Array, alpha: jax.Array) -> jax.Array:
    """Return the weights for any alpha, by Newton's method between two bounds of c."""
    scores, a = _below_largest(scores), alpha - 1
    # The largest weight lies between one over the number of keys and one, which bounds c.
    log_keys = jnp.log(jnp.asarray(max(scores.shape[-1], 1), scores.dtype))
    highest = jnp.where(a == 0, log_keys, -jnp.expm1(-a * log_keys) / jnp.where(a == 0, 1, a))

    def step(state):
        count, _, c, low, high = state
        weights = _power(scores - c, a)
        excess = _sum(weights) - 1
        # The sum decreases in c, so the sign of the excess says on which side the root is.
        low, high = jnp.where(excess > 0, c, low), jnp.where(excess > 0, high, c)
        newton = c + _divide(excess, _sum(_slope(weights, alpha)))
        # Outside the bounds Newton's step is useless (the sum is not convex there), so bisect.
        inside = (newton >= low) & (newton <= high)
        return count + 1, c, jnp.where(inside, newton, (low + high) / 2), low, high

    def is_moving(state):
        count, before, c, *_ = state
        return (count < _STEPS) & (jnp.abs(c - before) > 2 * jnp.finfo(c.dtype).eps).any()

    start = jnp.zeros_like(highest)
    _, _, c, *_ = lax.while_loop(is_moving, step, (0, start - 1, start, start, highest))
    return _normalized(_power(scores - c, a))


@_entmax.defjvp
def _entmax_jvp(primals, tangents):
    weights, alpha = _entmax(*primals), primals[1]
    slope, pull = _slope(weights, alpha), _alpha_pull(weights, alpha - 1)
    # As for the scores, c moves so that the sum stays one.
    by_alpha = pull - slope * _divide(_sum(pull), _sum(slope))
    return weights, _score_tangent(slope, tangents[0]) + by_alpha * tangents[1]


def _alpha_pull(weights: jax.Array, a: jax.Array) -> jax.Array:
    r"""Return the derivative of the weights by alpha at a fixed c.

    With :math:`l = \log w` it is :math:`w l^2 \phi(a l)`, :math:`\phi(x) = (1 - e^{-x} - x)/x^2`,
    replaced by its series near zero.
    """
    log = jnp.log(jnp.where(weights > 0, weights, 1))
    x = a * log
    small = jnp.abs(x) < 0.1
    series = -1 / 2 + x * (1 / 6 - x * (1 / 24 - x * (1 / 120 - x / 720)))
    safe = jnp.where(small, 1, x)
    return weights * log**2 * jnp.where(small, series, (-jnp.expm1(-safe) - safe) / safe**2)
