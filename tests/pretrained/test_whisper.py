"""What Whisper adds: writing with a cache, and frames that do not exist."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from pretrained_check import TOLERANCE, close
from pretrained_folder import golden_arrays, write_golden

from attn_jax import hooks, pretrained


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return pretrained.load(write_golden("whisper", tmp_path_factory.mktemp("whisper")))


@pytest.fixture(scope="module")
def inputs():
    return {name: jnp.asarray(x) for name, x in golden_arrays("whisper", "input").items()}


def test_the_logits_of_parts_are_those_of_the_whole(model, inputs):
    expected = golden_arrays("whisper", "expected")["output"]
    tokens = inputs["decoder_tokens"]
    apply = jax.jit(model.model.apply, static_argnames=("method", "mutable"))
    states = apply(model.variables, inputs["mel"], method="encode")
    cache, parts = model.model.empty_cache(2, 9), []
    for part in (tokens[:, :3], tokens[:, 3:4], tokens[:, 4:]):
        variables = {**model.variables, "cache": cache}
        logits, state = apply(variables, part, states, method="decode", mutable=("cache",))
        # The keys and values of the sound are in the cache, and no longer taken from the states.
        cache, states = state["cache"], jnp.full_like(states, 1e3)
        parts.append(logits)
    close(np.concatenate(parts, 1), expected, TOLERANCE)


def test_frames_that_do_not_exist_are_not_heard(model, inputs):
    frames = jnp.arange(11)[None] < jnp.array([[11], [6]])
    other = inputs["mel"].at[1, :, 14:].set(99.0)  # the convolutions reach a frame further

    def run(mel):
        values = hooks.capture(model, "*.weights")({**inputs, "mel": mel, "key_mask": frames})
        return jax.tree.map(lambda x: x[1], values)

    (out, captured), (other_out, _) = jax.jit(run)(inputs["mel"]), jax.jit(run)(other)
    close(np.asarray(out), np.asarray(other_out), TOLERANCE)
    for name in ("encoder.layers.1.attention", "decoder.layers.0.cross_attention"):
        assert not np.asarray(captured[f"{name}.weights"])[..., 6:].any()
