"""Which tokens may be written, and how often, against probabilities computed by hand."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from pretrained_folder import write_golden

from attn_jax import pretrained
from attn_jax.pretrained.generation.rules import Rules
from attn_jax.pretrained.generation.sampling import Sampling


def test_the_checkpoint_says_what_ends_a_text(tmp_path):
    folder = write_golden("llama", tmp_path)
    (folder / "generation_config.json").write_text(
        '{"eos_token_id": [7, 9], "pad_token_id": null, "suppress_tokens": [3], '
        '"begin_suppress_tokens": [4], "bad_words_ids": [[5], [6, 7]]}'
    )
    rules = pretrained.load(folder).rules
    assert (rules.stop, rules.pad, rules.limit) == ((7, 9), 7, 40)
    assert (rules.suppressed, rules.suppressed_first, rules.first) == ((3, 5), (4,), None)


def test_what_may_not_be_written_has_no_chance():
    logits = jnp.arange(8.0).reshape(2, 4)
    rules = Rules(suppressed=(3,), suppressed_first=(2,))
    gone = -np.inf
    np.testing.assert_array_equal(
        rules.permit(logits, jnp.array(0)), [[0, 1, gone, gone], [4, 5, gone, gone]]
    )
    np.testing.assert_array_equal(
        rules.permit(logits, jnp.array(1)), [[0, 1, 2, gone], [4, 5, 6, gone]]
    )
    forced = dataclasses.replace(rules, first=1)
    assert forced.permit(logits, jnp.array(0)).argmax(-1).tolist() == [1, 1]
    assert forced.permit(logits, jnp.array(1)).argmax(-1).tolist() == [2, 2]


def test_suppressed_tokens_are_not_written(golden_model):
    model = golden_model("llama")
    texts = {"tokens": jnp.array([[5, 7, 11, 2]])}
    token = int(model.generate(texts, 3, stop=()).tokens[0, 4])
    rules = dataclasses.replace(model.rules, suppressed=(token,))
    short = dataclasses.replace(model, rules=rules).generate(texts, 3, stop=())
    assert token not in short.tokens[0, 4:]


def restricted(logits, temperature, top_k=None, top_p=None):
    """Return the probabilities of the tokens that may be drawn, in float64."""
    order = np.argsort(-logits)
    exponents = np.exp((logits.astype(float) - logits.max()) / temperature)
    order = order[:top_k]
    probabilities = exponents[order] / exponents[order].sum()
    if top_p is not None:
        count = 1
        while probabilities[:count].sum() < top_p:
            count += 1
        order = order[:count]
    result = np.zeros(len(logits))
    result[order] = exponents[order] / exponents[order].sum()
    return result


OPTIONS = [(1.0, None, None), (0.5, 5, None), (1.5, None, 0.6), (0.8, 7, 0.5), (2.0, 1, 1.0)]


@pytest.mark.parametrize(("temperature", "top_k", "top_p"), OPTIONS)
def test_the_distribution_is_the_one_that_was_asked_for(temperature, top_k, top_p):
    logits = np.random.default_rng(3).normal(size=(4, 30)).astype(np.float32) * 2
    sampling = Sampling(temperature, top_k, top_p)
    probabilities = jax.nn.softmax(jax.jit(sampling.restrict)(jnp.asarray(logits)))
    for row, own in zip(probabilities, logits, strict=True):
        np.testing.assert_allclose(row, restricted(own, temperature, top_k, top_p), atol=1e-6)


def test_tokens_are_drawn_from_it(golden_model):
    model, count = golden_model("gpt2"), 4000
    logits = np.asarray(model({"tokens": jnp.array([[5, 7]])})[0, -1])
    texts = {"tokens": jnp.tile(jnp.array([[5, 7]]), (count, 1))}
    options = {"temperature": 0.05, "top_k": 8, "top_p": 0.9}
    tokens = model.generate(texts, 1, rng=jax.random.key(0), **options).tokens[:, 2]
    expected = restricted(logits, *options.values())
    assert 1 < (expected > 0).sum() < 9
    frequencies = np.bincount(tokens, minlength=50) / count
    # Five standard deviations of a count.
    np.testing.assert_array_less(
        abs(frequencies - expected), 5 * np.sqrt(expected * (1 - expected) / count) + 1e-9
    )


def test_draws_follow_from_the_random_key_and_differ_between_steps(golden_model):
    model = golden_model("gpt2")
    texts = {"tokens": jnp.tile(jnp.array([[5, 7]]), (50, 1))}
    draw = [
        np.asarray(model.generate(texts, 2, rng=jax.random.key(i), temperature=99.0).tokens)
        for i in (0, 0, 1)
    ]
    np.testing.assert_array_equal(draw[0], draw[1])
    assert (draw[0] != draw[2]).any()
    assert (draw[0][:, 2] != draw[0][:, 3]).any()
