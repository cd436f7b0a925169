"""AttnLRP: relevance that is passed back from an output, layer by layer."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int

from attn_jax.hooks import HookError, activation_grads, capture
from attn_jax.hooks.attention.graph import Graph, Value, graph_of
from attn_jax.hooks.attention.placing import block_of
from attn_jax.hooks.attention.sites import unreachable
from attn_jax.hooks.freed import run_freed
from attn_jax.hooks.interpreter import evaluate
from attn_jax.hooks.plan import Plan
from attn_jax.hooks.transforms import trace
from attn_jax.measure.lrp_rules import place_rules
from attn_jax.measure.outputs import class_logits, of_target
from attn_jax.measure.reweigh import Model, Pattern


def apply_lrp_rules(fn: Callable[..., Any]) -> Callable[..., Any]:
    r"""Return `fn` with other derivatives, by which value times gradient is AttnLRP's relevance.

    The result is the same; the derivative of each operation on values that depend on the arguments
    follows the paper's rules. Whatever `fn` closes over, such as parameters, is constant.

    - A product of two variables (queries and keys, weights and values, a gate and what it gates)
      passes half to each.
    - A function of one variable, element by element (GELU, SiLU, tanh), has the derivative
      :math:`f(x)/x`.
    - A normalization is divided by a constant: nothing passes through its denominator.
    - Softmax, sums, and products with constants keep their derivatives. A constant that is added,
      such as a bias, keeps its share of the relevance.

    Args:
        fn: Any function of arrays that JAX can trace. Tokens are looked up in a table; a table
            multiplied by a one-hot vector would count as constant.

    Returns:
        A function with the arguments and the result of `fn`, to be differentiated by `jax.grad` or
        :func:`attn_jax.hooks.activation_grads`.

    Raises:
        HookError: When the function is called: if no result depends on the arguments through
            floating numbers, if softmax is computed in blocks, or if variables are multiplied
            inside a function with a derivative of its own.

    Example:
        >>> silu = apply_lrp_rules(lambda x: x * jax.nn.sigmoid(x))
        >>> x = jnp.array(2.0)
        >>> bool(jnp.allclose(x * jax.grad(silu)(x), silu(x)))
        True

    References:
        Achtibat et al., "AttnLRP: Attention-Aware Layer-Wise Relevance Propagation for
        Transformers", 2024, section 3 and appendix A, https://arxiv.org/abs/2402.05602.
    """

    @functools.wraps(fn)
    def changed(*args: Any, **kwargs: Any) -> Any:
        traced = trace(fn, args, kwargs)
        graph = graph_of(traced.jaxpr.jaxpr)
        rules, variables = place_rules(graph)
        _check(graph, variables)
        block = block_of(graph.levels[0], rules)
        outs, _ = evaluate(Plan({}, {}), block, traced.jaxpr, traced.arguments)
        return jax.tree.unflatten(traced.result, outs)

    return changed


def _check(graph: Graph, variables: set[Value]) -> None:
    """Refuse a program whose relevance would be wrong or zero everywhere."""
    hidden = [f"{name!r}: {reason}" for name, reason in unreachable(graph)]
    if hidden:
        raise HookError(
            f"AttnLRP has no rule for attention that is out of reach: {'; '.join(hidden)}. "
            "Compute it with the weights in the program, as ops.attention does with "
            "implementation='xla'."
        )
    root = graph.levels[0]
    results = set(root.jaxpr.outvars)
    if not any(root in v.names and v.names[root][0] in results for v in variables):
        raise HookError(
            "no result of the function depends on its arguments through floating numbers; pass "
            "what the relevance is of as an argument, and tokens as indices into a table."
        )


def attn_lrp(fn: Model, inputs: Any, target: Int[Array, " n"], *, at: Pattern | None = None) -> Any:
    """Return the relevance of the inputs, or of values inside a model, to the target's logit.

    The relevance of a value is the value times its gradient under the rules of
    :func:`apply_lrp_rules`. Sum it over features for a number for each token; that of attention
    weights, over queries, heads and layers for a number for each key. The sum over all inputs is
    the logit, less what biases and softmax keep.

    This takes one forward and one backward pass.

    Args:
        fn: The model. It returns logits: a log-softmax at its end would be explained as well.
        inputs: A batch of its inputs.
        target: The class whose logit is explained.
        at: The hook points whose relevance is returned, such as `"embedding"` for a model of
            tokens, or `"*.weights"`; None for the inputs themselves.

    Returns:
        Relevance shaped like the inputs; or, with `at`, like the values at each hook point, by its
        name.

    Raises:
        HookError: As :func:`apply_lrp_rules` does, or if a glob matches nothing.
        ValueError: If an input is not of a floating type and `at` is None.

    Example:
        >>> from attn_jax import hooks
        >>> def fn(x):
        ...     weights = hooks.tap("weights", jax.nn.softmax(2 * x))
        ...     return (weights * x) @ jnp.eye(2)
        >>> x = jnp.array([[3.0, 1.0]])
        >>> relevance = attn_lrp(fn, x, jnp.array([0]), at="weights")["weights"]
        >>> (relevance / fn(x)).round(2)  # a half; the values have the other
        Array([[0.5, 0. ]], dtype=float32)

    References:
        Achtibat et al., "AttnLRP: Attention-Aware Layer-Wise Relevance Propagation for
        Transformers", 2024, https://arxiv.org/abs/2402.05602.
    """
    changed = apply_lrp_rules(fn)

    def logit(inputs: Any) -> Array:
        return of_target(class_logits(changed(inputs)), target).sum()

    if at is None:
        _check_floating(inputs)
        gradients = run_freed(jax.grad(logit), inputs)
        return jax.tree.map(_times, inputs, gradients)
    names = [at] if isinstance(at, str) else list(at)

    def both(inputs: Any) -> tuple[dict[str, Array], dict[str, Array]]:
        return capture(fn, names)(inputs)[1], activation_grads(logit, names)(inputs)

    values, gradients = run_freed(both, inputs)
    return {name: _times(values[name], gradient) for name, gradient in gradients.items()}


def _times(value: Array, gradient: Array) -> Array:
    # A hidden score is minus infinity, and has no gradient.
    return jnp.where(gradient == 0, 0, value * gradient)


def _check_floating(inputs: Any) -> None:
    for path, leaf in jax.tree_util.tree_leaves_with_path(inputs):
        if not jnp.issubdtype(jnp.result_type(leaf), jnp.floating):
            raise ValueError(
                f"inputs{jax.tree_util.keystr(path)} is {jnp.result_type(leaf)}, which has no "
                "gradient; name a hook point: at='embedding'."
            )
