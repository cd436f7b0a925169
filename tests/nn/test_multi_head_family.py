"""What comes with the base of multi-head modules, and what each member adds to it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attn_jax import nn, ops
from attn_jax.hooks import capture, intervene

X = jax.random.normal(jax.random.key(0), (2, 5, 12))


def started(model, x=X):
    return model, jax.jit(model.init)(jax.random.key(1), x)


OPTIONS = {
    "grouped": {"num_key_value_heads": 1},
    "causal": {"causal": True},
    "window": {"window": (1, 0)},
    "rotary": {"transform": nn.Rotary()},
    "streaming": {"implementation": "streaming"},
}


@pytest.mark.parametrize("option", OPTIONS)
def test_a_gate_that_is_open_leaves_multi_head_attention_as_it_is(option):
    model, variables = started(nn.GatedAttention(num_heads=2, head_dim=6, **OPTIONS[option]))
    opened = intervene(model.apply, {"gate": lambda gate, site: jnp.ones_like(gate)})
    plain = nn.MultiHeadAttention(num_heads=2, head_dim=6, **OPTIONS[option])
    params = {name: p for name, p in variables["params"].items() if name != "w_gate"}
    expected = jax.jit(plain.apply)({"params": params}, X)
    np.testing.assert_allclose(jax.jit(opened)(variables, X), expected, atol=1e-6)


@pytest.mark.parametrize("option", ["grouped", "causal", "window", "rotary"])
@pytest.mark.parametrize("kind", [nn.TalkingHeadsAttention, nn.DifferentialAttention])
def test_heads_that_are_mixed_have_the_options_of_the_base(kind, option):
    model, variables = started(kind(num_heads=2, head_dim=6, **OPTIONS[option]))
    out, captured = jax.jit(capture(model.apply, "weights"))(variables, X)
    assert out.shape == X.shape
    assert captured["weights"].shape == (2, 2, 5, 5)
    if option in ("causal", "window"):
        after = jnp.triu(jnp.ones((5, 5), bool), 1)
        assert not captured["weights"][..., after].any()


@pytest.mark.parametrize("kind", [nn.TalkingHeadsAttention, nn.DifferentialAttention])
def test_heads_that_are_mixed_refuse_another_implementation(kind):
    with pytest.raises(ValueError, match="implementation='streaming' chooses a fused call"):
        kind(num_heads=2, implementation="streaming").init(jax.random.key(0), X)


@pytest.mark.parametrize("kind", [nn.LinearAttention, nn.NystromAttention])
def test_grouped_heads_of_linear_cost_are_those_repeated(kind):
    model, variables = started(kind(num_heads=4, head_dim=3, num_key_value_heads=2))
    params = dict(variables["params"])
    for name in ("key", "value"):
        params[name] = jax.tree.map(lambda p: jnp.repeat(p, 2, axis=-2), params[name])
    repeated = kind(num_heads=4, head_dim=3).apply({"params": params}, X)
    np.testing.assert_allclose(model.apply(variables, X), repeated, atol=1e-6)


LATENT = nn.MultiHeadLatentAttention(num_heads=3, latent_dim=5, rotary_dim=4, causal=True)


def test_a_latent_module_is_its_function():
    model, variables = started(LATENT)
    p = variables["params"]
    norm = lambda x, scale: ops.rms_normalize(x, scale, 1e-6)  # noqa: E731
    down = norm(X @ p["down_query"], p["query_norm"])
    query, rotary = (
        jnp.einsum("bqc,chd->bqhd", down, p[name]) for name in ("query", "rotary_query")
    )
    latent = norm(X @ p["down_key_value"], p["latent_norm"])
    rotary_key = ops.rotary((X @ p["rotary_key"])[..., None, :])[..., 0, :]
    context, weights = ops.latent_attention(
        query,
        ops.rotary(rotary),
        latent,
        rotary_key,
        w_key=p["w_key"],
        w_value=p["w_value"],
        mask=ops.causal_mask(5, 5),
    )
    out, captured = jax.jit(capture(model.apply, ["latent", "weights"]))(variables, X)
    np.testing.assert_allclose(captured["latent"], latent, atol=1e-6)
    np.testing.assert_allclose(captured["weights"], weights, atol=1e-5)
    expected = jnp.einsum("bqhe,hed->bqd", context, p["out"]["kernel"])
    np.testing.assert_allclose(out, expected, atol=1e-5)


@pytest.mark.parametrize("chunks", [(1, 1, 1, 1, 1), (3, 2)], ids=["one by one", "in chunks"])
@pytest.mark.parametrize("options", [{}, {"window": (1, 0)}, {"use_bias": True}], ids=str)
def test_steps_with_a_cache_give_what_all_tokens_at_once_give(chunks, options):
    model, variables = started(LATENT.clone(**options))
    cache, outs = model.init_cache(2, max_length=7, features=12), []
    step = jax.jit(lambda *args: model.apply(*args, method="step"))
    for new in jnp.split(X, np.cumsum(chunks)[:-1], axis=1):
        out, cache = step(variables, new, cache)
        outs.append(out)
    expected = jax.jit(model.apply)(variables, X)
    np.testing.assert_allclose(jnp.concatenate(outs, axis=1), expected, atol=1e-5)


@pytest.mark.parametrize("options", [{}, {"window": (1, 0)}], ids=str)
def test_latent_attention_streams(options):
    model, variables = started(LATENT.clone(**options))
    streaming = model.clone(implementation="streaming")
    np.testing.assert_allclose(streaming.apply(variables, X), model.apply(variables, X), atol=1e-6)


def test_the_cache_holds_the_latent_and_the_rotary_key_only():
    cache = LATENT.init_cache(2, max_length=7, features=12)
    assert {name: array.shape for name, array in cache.items()} == {
        "latent": (2, 7, 5),
        "rotary_key": (2, 7, 4),
        "length": (),
    }


def test_a_step_looks_where_all_tokens_at_once_look():
    model, variables = started(LATENT)
    cache = model.init_cache(2, max_length=5, features=12)
    step = lambda *args: model.apply(*args, method="step")  # noqa: E731
    _, cache = jax.jit(step)(variables, X[:, :4], cache)
    _, captured = jax.jit(capture(step, "weights"))(variables, X[:, 4:], cache)
    _, whole = jax.jit(capture(model.apply, "weights"))(variables, X)
    np.testing.assert_allclose(captured["weights"], whole["weights"][:, :, 4:], atol=1e-5)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (LATENT.clone(num_key_value_heads=1), "num_key_value_heads=1 .* must be None"),
        (LATENT.clone(transform=nn.Rotary()), r"(?s)transform=Rotary.* must be None"),
    ],
)
def test_latent_attention_refuses_what_its_latent_replaces(model, message):
    with pytest.raises(ValueError, match=message):
        model.init(jax.random.key(0), X)


def test_a_step_past_the_end_of_the_cache_is_not_a_number():
    model, variables = started(LATENT)
    cache = model.init_cache(2, max_length=4, features=12)
    step = jax.jit(lambda *args: model.apply(*args, method="step"))
    out, cache = step(variables, X[:, :3], cache)
    assert np.isfinite(out).all()
    out, _ = step(variables, X[:, 3:], cache)
    assert np.isnan(out).all()
    with pytest.raises(ValueError, match="5 tokens do not fit a cache of 4"):
        model.apply(variables, X, cache, method="step")


def test_a_step_takes_integers_and_hides_the_padding_of_a_prompt():
    model, variables = started(LATENT)
    step = jax.jit(lambda *args, **kwargs: model.apply(*args, method="step", **kwargs))
    whole = jnp.rint(3 * X).astype(jnp.int32)
    cache = model.init_cache(2, max_length=5, features=12)
    out, _ = step(variables, whole, cache)
    np.testing.assert_allclose(out, step(variables, whole.astype(float), cache)[0], atol=1e-6)
    exists = jnp.arange(5) != 0
    out, _ = step(variables, X, cache, key_mask=exists)
    np.testing.assert_allclose(out, model.apply(variables, X, key_mask=exists), atol=1e-5)


def test_a_step_of_another_normalizer_is_refused():
    model, variables = started(LATENT.clone(normalizer=ops.sparsemax))
    cache = model.init_cache(2, max_length=5, features=12)
    with pytest.raises(ValueError, match="is not softmax"):
        model.apply(variables, X, cache, method="step")


def test_a_step_that_would_need_later_tokens_is_refused():
    model, variables = started(LATENT.clone(causal=False))
    cache = model.init_cache(2, max_length=5, features=12)
    with pytest.raises(ValueError, match="causal=False"):
        model.apply(variables, X[:, :1], cache, method="step")
