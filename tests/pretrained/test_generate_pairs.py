"""Writing with an encoder and a decoder, against passes without a cache."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from pretrained_folder import golden_arrays

from attn_jax.hooks import capture, intervene
from attn_jax.pretrained import PretrainedError

STEPS = 4


def encoded(family, start=3):
    """Return the arguments of a golden file, with some tokens that the decoder goes on from."""
    inputs = {name: jnp.asarray(x) for name, x in golden_arrays(family, "input").items()}
    return {**inputs, "decoder_tokens": inputs["decoder_tokens"][:, :start]}


def of_step(whole, step, start=3):
    """Return the row of a map, or of logits, that stands for a step."""
    return np.asarray(whole)[..., start - 1 + step, :]


def close(actual, expected, tolerance):
    limit = tolerance * max(1, np.abs(expected).max())
    np.testing.assert_allclose(actual, expected, rtol=0, atol=limit)


@pytest.mark.parametrize("family", ["marian", "t5", "whisper"])
def test_the_steps_are_rows_of_the_whole(family, golden_model):
    model, inputs = golden_model(family), encoded(family)
    written, captured = model.generate(inputs, STEPS, stop=(), capture=["*.weights", "*.logits"])
    np.testing.assert_array_equal(written.tokens[:, :3], inputs["decoder_tokens"])
    assert written.lengths.tolist() == [7, 7]
    read = {**inputs, "decoder_tokens": written.tokens[:, :-1]}
    logits, whole = jax.jit(capture(model, "*.weights"))(read)
    for step in range(STEPS):
        expected = of_step(logits, step)
        close(captured["steps.*.logits"][step, :, 0], expected, 2e-5)
        np.testing.assert_array_equal(written.tokens[:, 3 + step], expected.argmax(-1))
    for name, weights in whole.items():
        if name.startswith("encoder"):
            np.testing.assert_array_equal(captured[name], weights)
            continue
        for step in range(STEPS):
            close(captured[f"steps.*.{name}"][step, :, :, 0], of_step(weights, step), 2e-6)
        first = np.asarray(captured[f"prompt.{name}"])
        close(first, np.asarray(weights)[:, :, :3, : first.shape[-1]], 2e-6)


def test_an_edit_of_one_step(golden_model):
    model, inputs = golden_model("bart"), encoded("bart")
    name = "decoder.layers.0.cross_attention.weights"
    edits = {f"steps.2.{name}": lambda weights, site: weights.at[:, 1].set(0)}
    write = capture(intervene(model.generating(STEPS, stop=()), edits), "steps.*.logits")
    written, captured = jax.jit(write)(inputs)
    edits = {name: lambda weights, site: weights.at[:, 1, 4].set(0)}
    read = {**inputs, "decoder_tokens": written.tokens[:, :-1]}
    edited, plain = (jax.jit(fn)(read) for fn in (intervene(model, edits), model))
    for step in range(STEPS):
        close(captured["steps.*.logits"][step, :, 0], of_step(edited, step), 2e-5)
    assert np.allclose(edited[:, :4], plain[:, :4], atol=1e-6)
    assert not np.allclose(edited[:, 4], plain[:, 4], atol=1e-4)


def test_the_encoder_runs_once_and_its_keys_are_kept(golden_model):
    model = golden_model("bart")
    write = jax.make_jaxpr(model.generating(STEPS))(encoded("bart"))
    (loop,) = [eqn for eqn in write.jaxpr.eqns if eqn.primitive.name == "scan"]
    products = str(loop).count("dot_general")
    # In a layer: query, key, value, out; query, out; two of the attentions each; the two of the
    # feed-forward network. And the logits.
    assert products == 2 * (4 + 2 + 2 * 2 + 2) + 1


def test_a_decoder_may_have_to_write_a_token_first(golden_model):
    model = golden_model("bart")
    model = dataclasses.replace(model, rules=dataclasses.replace(model.rules, first=17))
    assert model.generate(encoded("bart", 1), 1).tokens[:, 1].tolist() == [17, 17]
    assert 17 not in model.generate(encoded("bart", 2), 1).tokens[:, 2]


def test_the_decoder_has_an_end(golden_model):
    with pytest.raises(PretrainedError, match=r"3 tokens and 28 steps make 31, .* takes 30"):
        golden_model("bart").generate(encoded("bart"), 28)
    assert golden_model("t5").rules.limit is None
