"""Writing with a cache, against passes without one."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from pretrained_folder import write_golden

from attn_jax import pretrained
from attn_jax.hooks import capture, intervene
from attn_jax.pretrained import PretrainedError
from attn_jax.pretrained.generation.writer import write

FAMILIES = ["gpt2", "llama", "mistral", "gemma3"]
STEPS, LENGTHS = 5, [4, 2]
TEXTS = {
    "tokens": jnp.array([[5, 7, 11, 2], [9, 8, 0, 0]]),
    "key_mask": jnp.array([[1, 1, 1, 1], [1, 1, 0, 0]], bool),
}


@pytest.fixture(scope="module", params=FAMILIES)
def run(request, golden_model):
    """Return a model, what it wrote, what was captured, and the same by a pass without a cache."""
    model = golden_model(request.param)
    spec = ["*.weights", "*.logits", "*.token"]
    written, captured = model.generate(TEXTS, STEPS, stop=(), capture=spec)
    _, whole = jax.jit(capture(model, ["*.weights", "logits"]))(written.inputs)
    return model, written, captured, whole


def rows(whole, step):
    """Return the row of each text that stands for a step, of a map or of logits."""
    whole = np.asarray(whole)
    numbers = [length - 1 + step for length in LENGTHS]
    return np.stack([whole[b].take(number, axis=-2) for b, number in enumerate(numbers)])


def close(actual, expected, tolerance):
    expected = np.asarray(expected)
    limit = tolerance * max(1, np.abs(expected).max())
    np.testing.assert_allclose(actual, expected, rtol=0, atol=limit)


def test_it_writes_what_a_loop_without_a_cache_writes(run):
    model, written, _, _ = run
    assert written.lengths.tolist() == [9, 7]
    forward = jax.jit(model)
    for text, length, row in zip(TEXTS["tokens"], LENGTHS, written.tokens, strict=True):
        tokens = np.zeros(9, int)
        tokens[:length] = text[:length]
        for position in range(length, length + STEPS):
            tokens[position] = forward({"tokens": jnp.asarray(tokens)[None]})[
                0, position - 1
            ].argmax()
        np.testing.assert_array_equal(row[: length + STEPS], tokens[: length + STEPS])
        assert (row[length + STEPS :] == model.rules.pad).all()


def test_the_maps_of_steps_are_rows_of_the_whole_map(run):
    _, _, captured, whole = run
    for layer in range(2):
        name = f"layers.{layer}.attention.weights"
        steps = captured[f"steps.*.{name}"]
        assert steps.shape == (STEPS, 2, 4, 1, 8)
        for step in range(STEPS):
            close(steps[step, :, :, 0], rows(whole[name], step)[..., :8], 2e-6)
        close(captured[f"prompt.{name}"][0], whole[name][0, :, :4, :4], 2e-6)


def test_the_logits_of_steps_are_those_of_the_whole(run):
    _, written, captured, whole = run
    logits, tokens = np.asarray(captured["steps.*.logits"]), np.asarray(captured["steps.*.token"])
    for step in range(STEPS):
        close(logits[step, :, 0], rows(whole["logits"], step), 2e-5)
        ends = [written.tokens[b, length + step] for b, length in enumerate(LENGTHS)]
        np.testing.assert_array_equal(tokens[step], ends)


def test_summaries_are_those_of_the_maps(golden_model):
    spec = ["steps.*.layers.1.attention.weights", "steps.*.layers.1.attention.summary"]
    _, captured = golden_model("mistral").generate(TEXTS, STEPS, stop=(), capture=spec)
    weights, summary = (captured[name] for name in spec)
    weights = np.asarray(weights, float)[:, :, :, 0]
    logs = np.log(np.where(weights > 0, weights, 1))
    close(summary.entropy[..., 0], -(weights * logs).sum(-1), 1e-5)
    positions = np.arange(STEPS)[:, None] + LENGTHS - 1
    away = np.abs(np.arange(8) - positions[..., None, None])
    close(summary.distance[..., 0], (weights * away).sum(-1), 1e-5)


def without_head_1(weights, site):
    return weights.at[:, 1].set(0)


@pytest.mark.parametrize(
    ("glob", "steps"),
    [("steps.3", [3]), ("*", range(-3, STEPS))],
    ids=["step 3", "all"],
)
def test_an_edit_of_steps_is_one_of_their_rows(golden_model, glob, steps):
    model = golden_model("mistral")
    name = "layers.0.attention.weights"
    write = intervene(model.generating(STEPS, stop=()), {f"{glob}.{name}": without_head_1})
    written, captured = jax.jit(capture(write, "steps.*.logits"))(TEXTS)

    def edit_rows(weights, site):
        for b, length in enumerate(LENGTHS):
            edited = [length - 1 + step for step in steps if length - 1 + step >= 0]
            weights = weights.at[b, 1, jnp.array(edited)].set(0)
        return weights

    whole = jax.jit(intervene(model, {name: edit_rows}))(written.inputs)
    plain = jax.jit(model)(written.inputs)
    for step in range(STEPS):
        expected = rows(whole, step)
        close(captured["steps.*.logits"][step, :, 0], expected, 2e-5)
        tokens = [written.tokens[b, length + step] for b, length in enumerate(LENGTHS)]
        np.testing.assert_array_equal(tokens, expected.argmax(-1))
        assert np.allclose(expected, rows(plain, step), atol=1e-6) == (step < min(steps))


def test_a_token_can_be_put_in_the_mouth_of_a_model(golden_model):
    model = golden_model("gpt2")
    forced = {"steps.1.token": lambda token, site: jnp.full_like(token, 17)}
    written = jax.jit(intervene(model.generating(STEPS, stop=()), forced))(TEXTS)
    expected = np.asarray(jax.jit(model)(written.inputs).argmax(-1))
    for b, length in enumerate(LENGTHS):
        assert written.tokens[b, length + 1] == 17
        for position in (length, *range(length + 2, length + STEPS)):
            assert written.tokens[b, position] == expected[b, position - 1]


def test_a_text_ends_with_a_token_that_ends_texts(golden_model):
    model = golden_model("llama")
    written = model.generate(TEXTS, STEPS, stop=())
    first = int(written.tokens[1, LENGTHS[1] + 1])
    short = model.generate(TEXTS, STEPS, stop=[first, 49])
    for b, length in enumerate(LENGTHS):
        row = np.asarray(written.tokens[b, length : length + STEPS])
        ends = np.flatnonzero(np.isin(row, [first, 49]))
        count = ends[0] + 1 if ends.size else STEPS
        assert short.lengths[b] == length + count
        np.testing.assert_array_equal(short.tokens[b, length : length + count], row[:count])
        assert (short.tokens[b, length + count :] == model.rules.pad).all()
    assert short.lengths[1] <= LENGTHS[1] + 2


def test_numbers_and_texts_may_change_without_a_compilation(golden_model):
    model = golden_model("gpt2")
    rng = jax.random.key(0)
    model.generate(TEXTS, 2, rng=rng, temperature=0.5, top_p=0.5, capture="*.token")
    before = write._cache_size()
    others = {"tokens": TEXTS["tokens"] + 1, "key_mask": TEXTS["key_mask"][::-1]}
    model.generate(others, 2, rng=rng, temperature=0.7, top_p=0.6, capture="*.token")
    assert write._cache_size() == before


@pytest.mark.parametrize("family", ["gpt2", "qwen3"])
def test_the_logits_of_parts_are_those_of_the_whole(family, golden_model):
    model = golden_model(family)
    tokens = jnp.array([[5, 7, 11, 2, 30, 31, 17]])
    cache, parts = model.model.empty_cache(1, 9), []
    apply = jax.jit(lambda variables, tokens: model.model.apply(variables, tokens, mutable="cache"))
    for part in (tokens[:, :3], tokens[:, 3:4], tokens[:, 4:]):
        logits, state = apply({**model.variables, "cache": cache}, part)
        cache = state["cache"]
        parts.append(logits)
    expected = model({"tokens": tokens})
    np.testing.assert_allclose(np.concatenate(parts, 1), expected, rtol=0, atol=2e-5)


RNG = jax.random.key(0)


@pytest.mark.parametrize(
    ("steps", "options", "message"),
    [
        (0, {}, "steps=0 must be at least 1"),
        (37, {}, "4 tokens and 37 steps make 41, and the model takes 40 tokens"),
        (1, {"temperature": -1.0, "rng": RNG}, "temperature=-1.0 must be at least 0"),
        (1, {"temperature": float("nan"), "rng": RNG}, "temperature=nan must be at least 0"),
        (1, {"temperature": 1.0, "top_p": 0.0, "rng": RNG}, r"top_p=0.0 must lie in \(0, 1\]"),
        (1, {"temperature": 1.0, "top_p": 1.1, "rng": RNG}, r"top_p=1.1 must lie in \(0, 1\]"),
        (1, {"temperature": 1.0, "top_k": 0, "rng": RNG}, "top_k=0 must be at least 1"),
        (1, {"temperature": 1.0}, "temperature draws tokens at random, so it needs rng"),
        (1, {"rng": RNG}, "rng is given, and temperature=0 draws nothing"),
        (1, {"top_k": 3, "rng": RNG}, "top_k=3 and top_p=None restrict draws"),
    ],
)
def test_what_it_cannot_do(steps, options, message, golden_model):
    with pytest.raises(PretrainedError, match=message):
        golden_model("llama").generate(TEXTS, steps, **options)


@pytest.mark.parametrize("row", [[False, True], [False, False]])
def test_texts_begin_at_the_left(row, golden_model):
    inputs = {"tokens": jnp.ones((2, 2), int), "key_mask": jnp.array([[True, True], row])}
    with pytest.raises(PretrainedError, match=r"text 1 has the key_mask .* padding comes after it"):
        golden_model("llama").generate(inputs, 1)


def test_an_encoder_does_not_generate(tmp_path):
    model = pretrained.load(write_golden("bert", tmp_path))
    with pytest.raises(PretrainedError, match="Bert does not generate, as it predicts no next"):
        model.generate({"tokens": jnp.ones((1, 4), int)}, 1)
