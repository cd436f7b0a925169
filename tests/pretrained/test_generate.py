"""Generation with a cache, against passes without one."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from pretrained_folder import write_golden

from attn_jax import pretrained
from attn_jax.pretrained import PretrainedError


def load(family, folder):
    return pretrained.load(write_golden(family, folder))


@pytest.mark.parametrize(
    "family", ["gpt2", "llama", "mistral", "qwen2", "qwen3", "gemma2", "gemma3"]
)
def test_it_equals_the_pass_without_a_cache(family, tmp_path):
    model = load(family, tmp_path)
    tokens = jnp.array([[5, 7, 11, 2], [9, 8, 3, 40]])
    written = model.generate({"tokens": tokens}, 9)
    assert written.shape == (2, 13)
    np.testing.assert_array_equal(written[:, :4], tokens)
    logits = jax.jit(model)({"tokens": written[:, :-1]})
    np.testing.assert_array_equal(logits.argmax(-1)[:, 3:], written[:, 4:])


@pytest.mark.parametrize("family", ["gpt2", "mistral", "qwen3", "gemma3"])
def test_the_logits_of_parts_are_those_of_the_whole(family, tmp_path):
    model = load(family, tmp_path)
    tokens = jnp.array([[5, 7, 11, 2, 30, 31, 17]])
    cache, parts = model.model.empty_cache(1, 9), []
    apply = jax.jit(lambda variables, tokens: model.model.apply(variables, tokens, mutable="cache"))
    for part in (tokens[:, :3], tokens[:, 3:4], tokens[:, 4:]):
        logits, state = apply({**model.variables, "cache": cache}, part)
        cache = state["cache"]
        parts.append(logits)
    expected = model({"tokens": tokens})
    np.testing.assert_allclose(np.concatenate(parts, 1), expected, rtol=0, atol=2e-5)


@pytest.mark.parametrize(
    ("inputs", "steps", "message"),
    [
        ({"tokens": jnp.ones((1, 4), int)}, 0, "4 tokens and 0 steps make 4; steps are at least 1"),
        ({"tokens": jnp.ones((1, 4), int)}, 37, "make 41; .* the model takes 40 tokens"),
        (
            {"tokens": jnp.ones((2, 2), int), "key_mask": jnp.array([[1, 1], [1, 0]], bool)},
            1,
            r"the texts have \[2, 1\] tokens",
        ),
    ],
)
def test_what_it_cannot_do(inputs, steps, message, tmp_path):
    with pytest.raises(PretrainedError, match=message):
        load("llama", tmp_path).generate(inputs, steps)


def test_an_encoder_does_not_generate(tmp_path):
    with pytest.raises(PretrainedError, match="Bert does not generate; language models do"):
        load("bert", tmp_path).generate({"tokens": jnp.ones((1, 4), int)}, 1)
