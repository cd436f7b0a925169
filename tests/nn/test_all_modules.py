"""What must hold of every attention module: masks, integers, empty arrays, and hidden keys."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attn_jax import nn

# Batch, heads, queries and keys are all as many, so that no swapped axis is caught by its size.
N, D = 4, 8
LENGTHS = jnp.array([4, 2, 3, 1])
ONE = slice(1, 2)  # the sequence that is looked at alone, of length 2
KEY_MASK = jnp.arange(N)[None] < LENGTHS[:, None]
HEADS = {"num_heads": N, "head_dim": 2}
SINGLE = {
    "dot": nn.DotProductAttention(),
    "scaled dot": nn.ScaledDotProductAttention(),
    "cosine": nn.CosineAttention(),
    "additive": nn.AdditiveAttention(),
    "concat": nn.ConcatAttention(),
    "bilinear": nn.BilinearAttention(),
    "location": nn.LocationAttention(max_keys=N),
    "local-m": nn.LocalMAttention(half_width=2),
    "local-p": nn.LocalPAttention(half_width=2),
    "monotonic": nn.MonotonicAttention(),
    "mocha": nn.MochaAttention(width=2),
    "location-sensitive": nn.LocationSensitiveAttention(num_filters=2, filter_width=3),
    "Gaussian mixture": nn.GaussianMixtureAttention(num_windows=2),
}
MULTIPLE = {
    "multi-head": nn.MultiHeadAttention(**HEADS),
    "streaming": nn.MultiHeadAttention(implementation="streaming", **HEADS),
    "unfused": nn.MultiHeadAttention(normalizer=nn.Entmax(), **HEADS),
    "gated": nn.GatedAttention(**HEADS),
    "gated by head": nn.GatedAttention(headwise=True, **HEADS),
    "latent": nn.MultiHeadLatentAttention(**HEADS),
    "talking heads": nn.TalkingHeadsAttention(**HEADS),
    "differential": nn.DifferentialAttention(**HEADS),
}
LINEAR = {
    "linear": nn.LinearAttention(**HEADS),
    "performer": nn.PerformerAttention(num_features=5, **HEADS),
    "nystrom": nn.NystromAttention(num_landmarks=2, **HEADS),
    "linformer": nn.LinformerAttention(num_combinations=2, **HEADS),
}


def exported(base, **options):
    """What `nn` exports of a base and no table above names, as it is by default."""
    kinds = [kind for kind in vars(nn).values() if isinstance(kind, type)]
    named = {type(model) for model in (SINGLE | MULTIPLE | LINEAR).values()}
    abstract = {nn.SingleHead, nn.Attention, nn.MultiHead, nn.SubQuadraticAttention}
    new = [kind for kind in kinds if issubclass(kind, base) and kind not in named | abstract]
    return {kind.__name__: kind(**options) for kind in new}


# A new attention is tried here by being exported.
SINGLE |= exported(nn.SingleHead)
for label, module in exported(nn.MultiHead, **HEADS).items():
    (MULTIPLE if module.has_scores else LINEAR)[label] = module
MODULES = SINGLE | MULTIPLE | LINEAR
# Their parameters or positions are those of one length, or they return more than a context.
OF_ONE_LENGTH = ("linformer",)
each = pytest.mark.parametrize("name", MODULES)


@pytest.fixture(scope="module")
def example(draw_variables):
    """Give the variables of a module, drawn once, and arrays for it."""
    arrays = [jax.random.normal(rng, (N, N, D)) for rng in jax.random.split(jax.random.key(0), 3)]
    return functools.cache(lambda name: (draw_variables(MODULES[name], *arrays), arrays))


def context_of(result):
    return result[0] if isinstance(result, tuple) else result


@functools.cache
def applied(name):
    model = MODULES[name]
    return jax.jit(lambda *args, **masks: context_of(model.apply(*args, **masks)))


@each
def test_a_padded_batch_is_each_sequence_without_its_padding(example, name):
    if name in OF_ONE_LENGTH:
        pytest.skip("its parameters fix the number of keys; hidden keys are tried elsewhere")
    variables, (query, key, value) = example(name)
    padded = applied(name)(variables, query, key, value, key_mask=KEY_MASK)
    alone = applied(name)(variables, query[ONE], key[ONE, :2], value[ONE, :2])
    np.testing.assert_allclose(padded[ONE], alone, atol=2e-5)


@each
def test_what_stands_at_a_hidden_key_cannot_matter(example, name):
    variables, (query, key, value) = example(name)
    hidden = ~KEY_MASK[..., None]
    poisoned = [jnp.where(hidden, jnp.nan, x) for x in (key, value)]
    clean = applied(name)(variables, query, key, value, key_mask=KEY_MASK)
    found = applied(name)(variables, query, *poisoned, key_mask=KEY_MASK)
    np.testing.assert_array_equal(found, clean)


# Local-p places its window by the number of keys that exist, which only a key_mask tells.
@pytest.mark.parametrize("name", [name for name in SINGLE | MULTIPLE if name != "local-p"])
def test_a_key_mask_is_the_full_mask_that_says_the_same(example, name):
    variables, arrays = example(name)
    middle = (None, None) if name in MULTIPLE else (None,)
    full = KEY_MASK[(slice(None), *middle)]
    expected = applied(name)(variables, *arrays, key_mask=KEY_MASK)
    np.testing.assert_allclose(applied(name)(variables, *arrays, mask=full), expected, atol=1e-6)
    bias = jnp.where(full, 0.0, -jnp.inf)
    np.testing.assert_allclose(applied(name)(variables, *arrays, bias=bias), expected, atol=1e-6)


@pytest.mark.parametrize("name", SINGLE | MULTIPLE)
def test_a_mask_of_pairs_is_shared_by_the_batch_and_the_heads(example, name):
    variables, arrays = example(name)
    pairs = jnp.tril(jnp.ones((N, N), bool))
    full = pairs[None, None] if name in MULTIPLE else pairs[None]
    expected = applied(name)(variables, *arrays, mask=full)
    np.testing.assert_array_equal(applied(name)(variables, *arrays, mask=pairs), expected)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("name", MULTIPLE)
@pytest.mark.parametrize("argument", ["mask", "bias"])
def test_a_rank_between_is_refused(example, name, argument):
    variables, arrays = example(name)
    between = jnp.ones((N, N, N), bool if argument == "mask" else float)
    with pytest.raises(ValueError, match=rf"{argument} of shape .* has 3 axes.*\[:, None\]"):
        MODULES[name].apply(variables, *arrays, **{argument: between})


@pytest.mark.parametrize("name", LINEAR)
@pytest.mark.parametrize("argument", ["mask", "bias"])
def test_what_has_no_scores_refuses_a_mask_of_them(example, name, argument):
    variables, arrays = example(name)
    given = {argument: jnp.ones(N, bool if argument == "mask" else float)}
    with pytest.raises(ValueError, match=r"computes no scores.*key_mask"):
        MODULES[name].apply(variables, *arrays, **given)


@each
def test_integers_are_taken_for_the_floats_that_they_are(example, name):
    variables, arrays = example(name)
    whole = [jnp.rint(3 * x).astype(jnp.int32) for x in arrays]
    found = applied(name)(variables, *whole)
    assert jnp.issubdtype(found.dtype, jnp.floating)
    expected = applied(name)(variables, *(x.astype(jnp.float32) for x in whole))
    np.testing.assert_array_equal(found, expected)


@each
@pytest.mark.parametrize("empty", ["batch", "queries", "keys"])
def test_empty_arrays_give_empty_contexts_or_zeros(example, name, empty):
    if empty == "keys" and name in OF_ONE_LENGTH:
        pytest.skip("its parameters fix the number of keys")
    variables, (query, key, value) = example(name)
    if empty == "batch":
        query, key, value = query[:0], key[:0], value[:0]
    query = query[:, :0] if empty == "queries" else query
    key, value = (x[:, :0] if empty == "keys" else x for x in (key, value))
    context = applied(name)(variables, query, key, value)
    assert context.shape[:2] == query.shape[:2]
    if empty == "keys" and name in SINGLE:
        np.testing.assert_array_equal(context, np.zeros_like(context))


@pytest.mark.parametrize("name", [name for name in MODULES if name not in OF_ONE_LENGTH])
def test_any_attention_pools_a_padded_batch(draw_variables, name):
    x = jax.random.normal(jax.random.key(2), (N, N, D))
    model = nn.AttentionPooling(MODULES[name])
    variables = draw_variables(model, x)
    apply = jax.jit(model.apply)
    pooled = apply(variables, x, key_mask=KEY_MASK)
    np.testing.assert_allclose(pooled[ONE], apply(variables, x[ONE, :2]), atol=2e-5)


def test_pooling_names_the_keyword_that_replaced_mask():
    x = jnp.ones((2, 5, 3))
    with pytest.raises(TypeError, match=r"takes key_mask=\.\.\., which used to be called mask"):
        nn.AttentionPooling().init(jax.random.key(0), x, mask=jnp.ones((2, 5), bool))
