"""Which calls go around a ring, what hooks see of them, and what is refused."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, Mesh
from jax.sharding import PartitionSpec as P
from reference_attention import Reference, close

from attn_jax.hooks import capture, hook_points, intervene
from attn_jax.nn import MultiHeadAttention
from attn_jax.ops import Summary, attention, streaming_attention
from attn_jax.ops.fused import attention as fused
from attn_jax.ops.streaming import attention as streaming

B, T, H, D = 2, 24, 3, 5
RNG = np.random.default_rng(29)
QUERY, KEY, VALUE = (jnp.asarray(RNG.normal(size=(B, T, H, D)), jnp.float32) for _ in range(3))
OPTIONS = {"causal": True, "window": (13, 0), "query_offset": 2}
REFERENCE = Reference(QUERY, KEY, VALUE, **OPTIONS)
SHARDS = P(None, "sequence")


def mesh_of(kind=AxisType.Auto, **axes):
    return jax.make_mesh(tuple(axes.values()), tuple(axes), axis_types=(kind,) * len(axes))


RING = mesh_of(sequence=4)


def call(query, key, value, **options):
    return attention(query, key, value, **OPTIONS | options)


MANUAL = jax.shard_map(call, mesh=RING, in_specs=(SHARDS,) * 3, out_specs=SHARDS)


def in_ring(function, mesh=RING):
    """Call a function, compiled, with the three arrays in a mesh."""
    with jax.set_mesh(mesh):
        return jax.jit(function)(QUERY, KEY, VALUE)


def permutes(function, mesh, *given):
    with jax.set_mesh(mesh):
        return (
            "collective_permute" in jax.jit(function).lower(*given or (QUERY, KEY, VALUE)).as_text()
        )


@pytest.mark.parametrize(
    ("mesh", "goes_around"),
    [
        (mesh_of(sequence=4), True),
        (mesh_of(AxisType.Explicit, sequence=4), True),
        (mesh_of(data=2, sequence=2), True),
        (mesh_of(model=2, sequence=2), True),
        (mesh_of(data=4), False),
        (Mesh(np.array(jax.devices()[:1]), ("sequence",)), False),
        (Mesh(np.array(jax.devices()[:3])[:, None], ("data", "sequence")), False),
    ],
    ids=lambda x: str(dict(x.shape)) if isinstance(x, Mesh) else "",
)
def test_a_mesh_with_an_axis_of_that_name_makes_a_ring(mesh, goes_around):
    assert permutes(call, mesh) == goes_around
    close(in_ring(call, mesh), REFERENCE.context)


def test_eagerly_and_mapped_it_is_the_same():
    with jax.set_mesh(RING):
        close(call(QUERY, KEY, VALUE), REFERENCE.context)
        offsets = jnp.array([2, -7])
        mapped = jax.vmap(lambda *x: attention(*x[:3], causal=True, query_offset=x[3]))
        contexts = jax.jit(mapped)(QUERY, KEY, VALUE, offsets)
    for i, offset in enumerate(offsets):
        arrays = QUERY[i], KEY[i], VALUE[i]
        close(contexts[i], Reference(*arrays, causal=True, query_offset=int(offset)).context)


@pytest.mark.parametrize("implementation", ["xla", "streaming"])
def test_the_form_that_knows_no_ring_stays_by_name(implementation):
    named = functools.partial(call, implementation=implementation)
    assert permutes(named, RING) == (implementation == "streaming")


def test_a_length_that_the_devices_do_not_divide_is_computed_as_ever():
    assert not permutes(call, RING, *(x[:, :-1] for x in (QUERY, KEY, VALUE)))


def test_what_is_the_same_on_all_devices_is_not_sent_around():
    whole = jax.shard_map(call, mesh=RING, in_specs=(P(),) * 3, out_specs=P())
    assert "collective_permute" not in jax.jit(whole).lower(QUERY, KEY, VALUE).as_text()


WITHOUT = {"no mesh": None, "another axis": mesh_of(data=4), "another length": RING}


@pytest.mark.parametrize("name", WITHOUT)
@pytest.mark.parametrize("door", [attention, streaming_attention])
def test_programs_without_a_ring_are_byte_for_byte_those_without_the_feature(
    door, name, monkeypatch
):
    arrays = [x[:, :-1] for x in (QUERY, KEY, VALUE)]

    def text():
        def differentiated(*arrays):
            return jax.grad(lambda x: door(x, *arrays[1:], **OPTIONS).sum())(arrays[0])

        if WITHOUT[name] is None:
            return jax.jit(differentiated).lower(*arrays).as_text()
        with jax.set_mesh(WITHOUT[name]):
            return jax.jit(differentiated).lower(*arrays).as_text()

    ours = text()
    for module in (fused, streaming):
        monkeypatch.setattr(module, "ring_of", lambda *_, **__: None)
    assert ours == text()


def test_a_batch_stays_divided():
    mesh = mesh_of(data=2, sequence=2)
    sharding = jax.NamedSharding(mesh, P("data", "sequence"))
    arrays = [jax.device_put(x, sharding) for x in (QUERY, KEY, VALUE)]
    with jax.set_mesh(mesh):
        program = jax.jit(jax.grad(lambda *x: call(*x).sum())).lower(*arrays).compile()
    assert "all-gather" not in program.as_text()


def test_hooks_derive_scores_and_weights_of_a_ring_when_asked():
    _, whole = in_ring(capture(call, ["weights", "scores"]))
    close(whole["weights"], REFERENCE.weights)
    _, parts = jax.jit(capture(MANUAL, ["weights", "summary"]))(QUERY, KEY, VALUE)
    assert parts["weights"].shape == (4, B, H, T // 4, T)
    close(np.concatenate(parts["weights"], axis=-2), REFERENCE.weights)
    close(np.concatenate(parts["summary"].received, axis=-1), REFERENCE.weights.sum(-2))
    shapes = {point.name: point.shape for point in hook_points(MANUAL)(QUERY, KEY, VALUE)}
    assert shapes["weights"] == (B, H, T // 4, T)
    assert shapes["summary"].received == (B, H, T // 4)


def test_hooks_compute_the_summary_around_the_ring():
    _, captured = in_ring(capture(call, {"summary": Summary(entropy=True, received=True)}))
    expected = REFERENCE.summary((1, 1))
    close(captured["summary"].entropy, expected["entropy"])
    close(captured["summary"].received, expected["received"])


def test_edited_weights_rewrite_the_context_of_a_ring():
    def halve(weights, site):
        return jnp.where(site.visible(), weights / 2, weights)

    close(in_ring(intervene(call, {"weights": halve})), REFERENCE.context / 2)
    edited = intervene(MANUAL, {"weights": halve})
    close(jax.jit(edited)(QUERY, KEY, VALUE), REFERENCE.context / 2)
    with pytest.raises(ValueError, match="summary of edited weights is not computed around a ring"):
        jax.eval_shape(capture(edited, "summary"), QUERY, KEY, VALUE)


def test_a_module_sows_the_summary_of_a_ring():
    module = MultiHeadAttention(num_heads=3, implementation="streaming")
    x = jnp.asarray(RNG.normal(size=(2, T, 6)), jnp.float32)
    variables = module.init(jax.random.key(0), x)
    apply = jax.jit(functools.partial(module.apply, mutable=["intermediates"]))
    expected = apply(variables, x)
    with jax.set_mesh(RING):
        actual = apply(variables, x)
    jax.tree.map(lambda a, b: close(a, np.asarray(b, np.float64)), actual, expected)


def ring(query=QUERY, key=KEY, **options):
    with jax.set_mesh(options.pop("mesh", RING)):
        return attention(query, key, key, implementation="ring", **options)


def divided(in_specs, **options):
    def attend(query, key):
        return attention(query, key, key, **options)

    return jax.shard_map(attend, mesh=RING, in_specs=in_specs, out_specs=SHARDS)(QUERY, KEY)


REFUSED = {
    "no axis": (
        lambda: ring(mesh=mesh_of(data=4)),
        r"needs a mesh with an axis 'sequence' .*'data': 4",
    ),
    "no mesh": (
        lambda: attention(QUERY, KEY, KEY, implementation="ring"),
        "the mesh in force is none. Set one around the call: jax.set_mesh",
    ),
    "queries": (
        lambda: ring(QUERY[:, :22]),
        "the 4 devices of the mesh axis 'sequence' do not divide the 22 tokens of query; the "
        "nearest multiples: 20 and 24. Pad",
    ),
    "keys": (
        lambda: ring(key=KEY[:, :3]),
        "divide the 3 tokens of key; the nearest multiples: 4. Pad",
    ),
    "queries that all have": (
        lambda: divided((P(), SHARDS)),
        "key is divided over the mesh axis 'sequence' and query is the same on all",
    ),
    "a mask of one shard": (
        lambda: divided((SHARDS, SHARDS), mask=jnp.ones((6, 6), bool)),
        r"mask of shape \(6, 6\) does not broadcast .*= \(2, 3, 6, 24\)",
    ),
    "tiles": (lambda: streamed(pooled=(48, 4)), r"pooled=\(48, 4\) asks for more tiles"),
    "top": (lambda: streamed(top_k=25), "top_k=25 is more than the 24 keys"),
}  # fmt: skip


def streamed(**fields):
    with jax.set_mesh(RING):
        return streaming_attention(QUERY, KEY, VALUE, summary=Summary(**fields))


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_is_refused_by_name(name):
    attempt, message = REFUSED[name]
    with pytest.raises(ValueError, match=message):
        attempt()


def test_64_bits_are_refused_by_name_and_computed_without_a_ring():
    with jax.enable_x64(True), jax.set_mesh(RING):
        query = QUERY.astype(jnp.float64)
        key = KEY.astype(jnp.float64)
        close(attention(query, key, key), Reference(QUERY, KEY, KEY).context)
        with pytest.raises(ValueError, match="a ring computes in float32 and query is float64"):
            attention(query, key, key, implementation="ring")
