"""Derivatives of streaming attention in either mode, to the second order, under transformations."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, PartitionSpec
from reference_attention import Reference, close
from streaming_cases import CASES, GIVEN, B, E, H, Q, normal

from attn_jax import nn
from attn_jax.hooks import activation_grads, capture, intervene
from attn_jax.ops import Summary, attention, streaming_attention

TOWARD = normal(B, Q, H, E)


@pytest.mark.parametrize("name", ["plain", "mask of the keys", "softcap", "sinks", "everything"])
def test_forward_mode_agrees_with_the_gradients_in_numpy(name):
    """The change of a sum along tangents is their inner product with its gradients."""
    options, blocks = CASES[name]
    given = GIVEN | {name: options[name] for name in ("bias", "sinks") if name in options}
    tangents = {name: normal(*x.shape) for name, x in given.items()}

    @jax.jit
    def change(given, tangents):
        def attend(given):
            return streaming_attention(**options | given, block_sizes=blocks)

        return jax.jvp(attend, (given,), (tangents,))[1]

    gradients = Reference(**GIVEN, **options).gradients(TOWARD)
    expected = sum((gradients[name] * np.asarray(x)).sum() for name, x in tangents.items())
    found = (np.asarray(change(given, tangents), np.float64) * np.asarray(TOWARD)).sum()
    np.testing.assert_allclose(found, expected, rtol=1e-4)


OPTIONS = {"causal": True, "query_offset": 4, "softcap": 2.0, "sinks": normal(4)}
ARRAYS = normal(2, 11, 4, 3), normal(2, 13, 2, 3), normal(2, 13, 2, 5), normal(1, 4, 11, 13)
TANGENTS = tuple(normal(*x.shape) for x in ARRAYS)
ALL = (0, 1, 2, 3)


def call(implementation):
    def attend(query, key, value, bias):
        options = OPTIONS | {"bias": bias, "implementation": implementation}
        return attention(query, key, value, **options) ** 2

    return attend


def loss(fn):
    return lambda *arrays: fn(*arrays).sum()


def scaled(fn):
    """A function of three numbers, which scale query, key and value."""
    return lambda x: fn(*(x[n] * ARRAYS[n] for n in range(3)), ARRAYS[3]).sum()


def gradient(fn):
    return lambda *arrays: jax.grad(loss(fn), argnums=ALL)(*arrays)


def along(gradients):
    return sum((x * y).sum() for x, y in zip(gradients, TANGENTS, strict=True))


def mapped(fn):
    """Queries of each, and keys, values and biases of all."""
    return lambda query, *rest: jax.vmap(lambda scale: fn(query * scale, *rest))(jnp.arange(3.0))


def scanned(fn):
    def layers(query, *rest):
        def layer(x, scale):
            return x + fn(x * scale, *rest)[..., :3], None

        return jax.lax.scan(layer, query, jnp.array([0.1, 0.2]))[0]

    return layers


NUMBERS = jnp.array([1.3, 0.7, -0.4])
DERIVATIVES = {
    "jvp": lambda fn: jax.jvp(fn, ARRAYS, TANGENTS),
    "jacfwd": lambda fn: jax.jacfwd(scaled(fn))(NUMBERS),
    "hessian": lambda fn: jax.hessian(scaled(fn))(NUMBERS),
    "jvp of grad": lambda fn: jax.jvp(gradient(fn), ARRAYS, TANGENTS),
    "grad of grad": lambda fn: jax.grad(lambda *x: along(gradient(fn)(*x)), argnums=ALL)(*ARRAYS),
    "grad of jvp": lambda fn: gradient(lambda *x: jax.jvp(fn, x, TANGENTS)[1])(*ARRAYS),
    "third": lambda fn: jax.jvp(jax.hessian(scaled(fn)), (NUMBERS,), (NUMBERS,))[1],
    "grad of vmap": lambda fn: gradient(mapped(fn))(*ARRAYS),
    "grad of grad of vmap": lambda fn: jax.hessian(scaled(mapped(fn)))(NUMBERS),
    "vmap of jvp": lambda fn: jax.vmap(
        lambda scale: jax.jvp(fn, ARRAYS, (scale * TANGENTS[0], *TANGENTS[1:]))[1]
    )(jnp.arange(3.0)),
    "checkpoint": lambda fn: gradient(jax.checkpoint(fn))(*ARRAYS),
    "jvp of grad of checkpoint": lambda fn: jax.jvp(gradient(jax.checkpoint(fn)), ARRAYS, TANGENTS),
    "grad of scan": lambda fn: gradient(scanned(fn))(*ARRAYS),
    "hessian of scan": lambda fn: jax.hessian(scaled(scanned(jax.checkpoint(fn))))(NUMBERS),
}


@pytest.mark.parametrize("name", DERIVATIVES)
def test_derivatives_are_those_of_the_formula(name):
    streamed, plain = (
        jax.tree.leaves(jax.jit(lambda i=i: DERIVATIVES[name](call(i)))())
        for i in ("streaming", "xla")
    )
    for one, other in zip(streamed, plain, strict=True):
        scale = max(1.0, float(jnp.abs(other).max()))
        np.testing.assert_allclose(one / scale, other / scale, atol=2e-5)


def test_half_of_the_operands_may_be_constant():
    query, key, value, bias = ARRAYS

    def gradients(implementation):
        fn = call(implementation)
        return jax.jit(jax.grad(lambda key: loss(fn)(query, key, value, bias)))(key)

    close(gradients("streaming"), np.asarray(gradients("xla")), 2e-5)


def test_forward_mode_on_each_device_of_a_mesh():
    mesh = jax.make_mesh((4,), ("data",), axis_types=(AxisType.Auto,))
    query, key = normal(4, 11, 2, 3), normal(1, 13, 2, 3)

    def change(query, key):
        def fn(query, key):
            shared = jnp.broadcast_to(key, (len(query), *key.shape[1:]))
            return attention(query, shared, shared, causal=True, implementation="streaming")

        both = jax.jvp(fn, (query, key), (query, key))[1]
        return both, *jax.grad(lambda *x: (fn(*x) ** 2).sum(), argnums=(0, 1))(query, key)

    data, same = PartitionSpec("data"), PartitionSpec()
    on_devices = jax.shard_map(
        change, mesh=mesh, in_specs=(data, same), out_specs=(data, data, same)
    )
    ours, whole = (jax.jit(fn)(query, key) for fn in (on_devices, change))
    for one, other in zip(ours, whole, strict=True):
        np.testing.assert_allclose(one, other, atol=2e-5, rtol=1e-5)


def test_hooks_see_and_edit_what_is_differentiated():
    def change(implementation):
        edits = {"weights": lambda weights, site: weights * 2, "key": lambda key, site: key + 1}
        fn = intervene(call(implementation), edits)
        looking = capture(fn, ["query", "weights", "context"])
        return jax.jvp(looking, ARRAYS, TANGENTS), activation_grads(loss(fn), "weights")(*ARRAYS)

    streamed, plain = (
        jax.tree.leaves(jax.jit(lambda i=i: change(i))()) for i in ("streaming", "xla")
    )
    for one, other in zip(streamed, plain, strict=True):
        np.testing.assert_allclose(one, other, atol=5e-5, rtol=1e-4)


def test_a_module_can_be_differentiated_forward_at_any_length():
    model = nn.MultiHeadAttention(num_heads=2)
    x = normal(1, 512, 4)
    variables = model.init(jax.random.key(0), x[:, :3])

    def change(implementation):
        fn = model.clone(implementation=implementation).apply
        return jax.jit(lambda x: jax.jvp(lambda x: fn(variables, x), (x,), (x,))[1])(x)

    close(change("auto"), np.asarray(change("xla")), 2e-5)


@pytest.mark.parametrize("mode", ["forward", "backward"])
def test_first_derivatives_need_no_map(mode):
    x = jax.ShapeDtypeStruct((8192, 1, 8), jnp.float32)

    def derivative(x):
        def fn(x):
            return streaming_attention(x, x, x, causal=True)

        return jax.jvp(fn, (x,), (x,)) if mode == "forward" else jax.grad(lambda x: fn(x).sum())(x)

    memory = jax.jit(derivative).lower(x).compile().memory_analysis()
    assert memory.temp_size_in_bytes < 8192**2 * 4 / 4


def test_calls_outside_of_jit_compile_once(count_programs):
    query, key, value, bias = ARRAYS
    summary = Summary(entropy=True, received=True, top_k=2)

    def calls():
        streaming_attention(query, key, value, causal=True, summary=summary)
        jax.grad(lambda x: streaming_attention(x, key, value, bias=bias).sum())(query)
        jax.jvp(lambda x: attention(x, key, value, implementation="streaming"), (query,), (query,))
        attention(query, key, value, causal=True, softcap=3.0)
        capture(attention, "summary")(query, key, value, implementation="streaming")

    assert count_programs(calls)
    calls()
    assert count_programs(calls) == 0
