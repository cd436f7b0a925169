"""Hook points for the attention of any JAX function, whoever wrote it."""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax

from attn_jax.hooks import patterns
from attn_jax.hooks.attention.graph import Graph, KernelRule, graph_of
from attn_jax.hooks.attention.placing import block_of, place_taps
from attn_jax.hooks.attention.sites import Site, find_sites, unreachable
from attn_jax.hooks.interpreter import evaluate
from attn_jax.hooks.patterns import HookError
from attn_jax.hooks.plan import Plan
from attn_jax.hooks.points import FoundAttention, HookPoint, Kind
from attn_jax.hooks.transforms import Traced, hook_points, trace

_LEAVES = ("scores", "weights", "exponentials", "context", "query", "key", "value", "summary")


def tap_attention(
    fn: Callable[..., Any], *, rules: Sequence[KernelRule] = (), skip: Sequence[str] | str = ()
) -> Callable[..., Any]:
    """Return `fn` with hook points at every attention in it.

    The attention is recognized in the program that JAX traces: a softmax, however it is written,
    whose result goes into a product that sums over the keys. It gets the hook points `scores`
    (what goes into the normalizer), `weights` (what comes out of it) and `context`, under the
    path of the named scopes around it. So :func:`capture`, :func:`intervene`, :func:`patch`,
    :func:`activation_grads` and everything in `attn_jax.measure` work on models that carry no
    taps. Attention that does carry taps keeps them and gets no others.

    Scores and weights are presented as `(*b, h, q, k)` and contexts as `(*b, q, h, d)`, whatever
    the layout of the program, and an edit is put back in that layout. Where the program does not
    tell which axis is that of the heads, there is none: it counts as a batch axis, and
    `patch(heads=...)` refuses it.

    Also found: attention whose sum divides the context, and sigmoid attention of several heads.
    Not found: attention that is computed in blocks, as flash attention is, unless a rule knows
    its call.

    Args:
        fn: Any function of arrays that JAX can trace.
        rules: Functions that recognize calls of known kernels, such as
            `attn_jax.interop.kernels.RULES`. Each maps an equation to a function that taps its
            results, or to None.
        skip: Globs of names to leave alone, such as the router of a mixture of experts.

    Returns:
        A function with the arguments and the result of `fn`.

    Raises:
        HookError: When the function is called: if there is no attention in it, with the reason
            where one is known, or if a glob of `skip` matches none.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> from attn_jax.hooks import capture
        >>> def layer(x):
        ...     heads = x.reshape(5, 2, 4)
        ...     return jax.nn.dot_product_attention(heads, heads, heads).reshape(5, 8)
        >>> out, captured = capture(tap_attention(layer), "*.weights")(jnp.ones((5, 8)))
        >>> captured["weights"].shape[-3:]
        (2, 5, 5)
    """
    skipped = (skip,) if isinstance(skip, str) else tuple(skip)

    @functools.wraps(fn)
    def tapped(*args: Any, **kwargs: Any) -> Any:
        traced = trace(fn, args, kwargs)
        graph = graph_of(traced.jaxpr.jaxpr, rules)
        sites = _without(skipped, find_sites(graph))
        if not sites and not skipped and not _has_taps(traced):
            raise _nothing_found(graph)
        outs = _tapped(traced, graph, sites)(*traced.arguments)
        return jax.tree.unflatten(traced.result, outs)

    return tapped


def find_attention(
    fn: Callable[..., Any], *, rules: Sequence[KernelRule] = ()
) -> Callable[..., list[FoundAttention]]:
    """Return a function that reports the attention of `fn`: what :func:`tap_attention` taps.

    Args:
        fn: Any function of arrays that JAX can trace.
        rules: As for :func:`tap_attention`.

    Returns:
        A function with the arguments of `fn` that returns one record for each attention, in the
        order of the program, and then those out of reach. Abstract arguments
        (`jax.ShapeDtypeStruct`) are enough, as nothing is computed.

    Raises:
        HookError: If there is no attention at all, with the reason where one is known.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> def layer(x):
        ...     heads = x.reshape(5, 2, 4)
        ...     return jax.nn.dot_product_attention(heads, heads, heads).reshape(5, 8)
        >>> [found] = find_attention(layer)(jnp.ones((5, 8)))
        >>> found.name, found.axes[-3:]
        ('weights', ('head', 'query', 'key'))
    """

    @functools.wraps(fn)
    def finding(*args: Any, **kwargs: Any) -> list[FoundAttention]:
        traced = trace(fn, args, kwargs)
        graph = graph_of(traced.jaxpr.jaxpr, rules)
        sites = find_sites(graph)
        hidden = dict(unreachable(graph))
        if not (sites or hidden or _has_taps(traced)):
            raise _nothing_found(graph)
        points = hook_points(_tapped(traced, graph, sites))(*traced.arguments)
        kinds: dict[str, Kind] = {site.name: site.kind for site in sites}
        return [*_records(points, kinds), *_hidden_records(hidden)]

    return finding


def _tapped(traced: Traced, graph: Graph, sites: Sequence[Site]) -> Callable[..., list[Any]]:
    """Return the program with taps at these sites, as a function of its arrays."""
    block = block_of(graph.levels[0], place_taps(sites))

    def run(*arrays: Any) -> list[Any]:
        return evaluate(Plan({}, {}), block, traced.jaxpr, arrays)[0]

    return run


def _without(skip: Sequence[str], sites: Sequence[Site]) -> list[Site]:
    """Return the sites that no glob matches."""
    names = [site.name for site in sites]
    skipped = set[str]()
    for pattern in skip:
        lengths = {site.name: [loop.length or 0 for loop in site.level.loops] for site in sites}
        matches = {name for name in names if patterns.match(pattern, name, lengths[name])}
        if not matches:
            raise patterns.no_match(pattern, names)
        skipped |= matches
    return [site for site in sites if site.name not in skipped]


def _has_taps(traced: Traced) -> bool:
    """Whether a program has hook points of weights without our doing."""
    return any(_leaf(point.name) == "weights" for point in traced.block.points())


def _leaf(name: str) -> str:
    return name.rpartition(".")[2].partition("#")[0]


def _nothing_found(graph: Graph) -> HookError:
    reasons = [f"{name!r}: {reason}" for name, reason in unreachable(graph)]
    if reasons:
        listing = "; ".join(dict.fromkeys(reasons))
        return HookError(
            f"the attention of this function is out of reach: {listing}. If it is the call of a "
            "known kernel, pass a rule for it (tap_attention(fn, rules=...))."
        )
    return HookError(
        "no attention was found: no softmax goes into a product that sums over its keys. "
        "`x = tap(name, x)` names any value."
    )


def _records(points: Sequence[HookPoint], kinds: Mapping[str, Kind]) -> list[FoundAttention]:
    leaves: dict[tuple[str, str], list[HookPoint]] = {}
    for point in points:
        module, _, leaf = point.name.rpartition(".")
        leaves.setdefault((module, leaf.partition("#")[2]), []).append(point)
    return [
        FoundAttention(
            point.name,
            kinds.get(point.name.partition("#")[0], "tap"),
            tuple(other.name for other in group if _leaf(other.name) in _LEAVES),
            point.shape,
            point.axes,
            point.loops,
            point.frozen,
            point.hidden,
        )
        for group in leaves.values()
        for point in group
        if _leaf(point.name) == "weights"
    ]


def _hidden_records(hidden: Mapping[str, str]) -> list[FoundAttention]:
    return [FoundAttention(name, "hidden", hidden=reason) for name, reason in hidden.items()]
