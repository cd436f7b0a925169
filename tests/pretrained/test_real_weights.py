"""Real weights, against what transformers recorded with them; `make pretrained` runs it.

`make_real_references.py` and `make_real_dinov2.py` write the references, and say what they are.
"""

import os
from pathlib import Path

import jax
import numpy as np
import pytest

from attn_jax import measure, pretrained
from attn_jax.hooks import capture
from attn_jax.tasks.fetch import FetchError

pytestmark = pytest.mark.skipif(
    "ATTN_JAX_REAL_WEIGHTS" not in os.environ,
    reason="330 MB of weights are downloaded only by make pretrained",
)


def close(x, expected, tolerance):
    np.testing.assert_allclose(x, expected, rtol=0, atol=tolerance * max(1, np.abs(expected).max()))


def reference(name):
    return np.load(Path(__file__).parent / f"real_{name}.npz")


def load(name):
    try:
        return pretrained.load(name)
    except FetchError as error:
        if "sha256" in str(error).lower() or "hash" in str(error).lower():
            raise
        pytest.skip(f"the weights cannot be fetched here: {error}")


@pytest.fixture(scope="module")
def smollm2():
    return load("smollm2")


def captured_run(model, inputs):
    """Return output and maps, with the weights as an argument of the program, not in it."""
    run = capture(lambda variables, inputs: model.model.apply(variables, **inputs), "*.weights")
    return jax.jit(run)(model.variables, inputs)


def test_minilm():
    expected = reference("minilm")
    model = load("minilm")
    inputs = model.encode(expected["texts"].tolist())
    np.testing.assert_array_equal(inputs["tokens"], expected["tokens"])
    exists = expected["exists"]
    np.testing.assert_array_equal(inputs["key_mask"], exists)
    out, captured = captured_run(model, inputs)
    close(np.asarray(out)[exists], expected["output"][exists], 2e-5)
    for i, weights in zip(expected["layers"], expected["attentions"], strict=True):
        rows = np.moveaxis(captured[f"layers.{i}.attention.weights"], 1, -2)[exists]
        close(rows, np.moveaxis(weights, 1, -2)[exists], 5e-6)


def test_smollm2(smollm2):
    expected = reference("smollm2")
    inputs = smollm2.encode([str(expected["text"])])
    np.testing.assert_array_equal(inputs["tokens"], expected["tokens"])
    logits, captured = captured_run(smollm2, inputs)
    close(logits[..., ::64], expected["logits"], 2e-5)
    for i, weights in zip(expected["layers"], expected["attentions"], strict=True):
        close(captured[f"layers.{i}.attention.weights"], weights, 5e-5)


def test_smollm2_goes_on_with_the_same_tokens(smollm2):
    expected = reference("smollm2")
    tokens, start = expected["greedy"], expected["tokens"].shape[1]
    written = smollm2.generate(smollm2.encode([str(expected["text"])]), tokens.shape[1] - start)
    np.testing.assert_array_equal(written.tokens, tokens)
    assert smollm2.tokenizer.decode(tokens[0, start:].tolist()).startswith("'s mom, a wise")


PROSE = """When the first railway reached the valley, farmers who had never seen the sea could buy
fresh herring on market day, and letters that used to take a week arrived before breakfast. Some
welcomed the noise and the smoke as signs of progress; others closed their shutters, kept their
horses, and predicted that nothing good would come of people moving so fast across the country."""


def test_smollm2_has_sinks_and_a_massive_activation(smollm2):
    inputs = smollm2.encode([PROSE])
    inputs = {name: array[:, :64] for name, array in inputs.items()}
    assert inputs["tokens"].shape == (1, 64)
    run = capture(smollm2.model.apply, ["*.weights", "layers.11.residual_out"])
    _, captured = jax.jit(run)(smollm2.variables, **inputs)
    result = measure.massive_activations(captured.pop("layers.11.residual_out"))
    # As Sun et al. found in other models: at the first token, and in one or two features.
    assert {int(token) for _, token, _ in np.argwhere(result.is_massive)} == {0}
    assert result.largest / result.median > 10_000
    assert measure.sink_rate(list(captured.values())) > 0.5


def test_dinov2():
    expected = reference("dinov2")
    model = load("dinov2-small")
    # An image whose shorter edge is as long as is asked for is cut, and keeps its pixels.
    around = np.pad(expected["image"], ((16, 16), (16, 16), (0, 0)))
    inputs = model.encode([around])
    np.testing.assert_array_equal(model.reader.shown([around])[0], expected["image"])
    out, captured = captured_run(model, inputs)
    close(out[:, ::16], expected["output"], 2e-5)
    for i, weights in zip(expected["layers"], expected["cls_attention"], strict=True):
        close(captured[f"layers.{i}.attention.weights"][0, :, 0], weights, 5e-6)
    half = np.finfo(np.float16).eps
    last = captured["layers.11.attention.weights"][:, :, ::16]
    close(last, expected["last_attention"].astype(np.float32), half)


SENTENCE = Path(__file__).parents[2] / "notebooks" / "speech" / "sentence.wav"


@pytest.fixture(scope="module")
def whisper():
    return load("whisper-tiny.en")


def test_whisper(whisper):
    expected = reference("whisper-tiny.en")
    text = str(expected["text"])
    inputs = whisper.encode([SENTENCE], [text])
    # transformers resamples nothing: its input was resampled by the same function of SciPy.
    close(inputs["mel"][..., :400:20], expected["mel"], 2e-6)
    tokens = expected["tokens"]
    np.testing.assert_array_equal(inputs["decoder_tokens"], tokens[:, :-1])
    inputs["decoder_tokens"] = tokens
    out, captured = captured_run(whisper, inputs)
    close(out[..., ::64], expected["logits"], 2e-5)
    states = jax.jit(whisper.model.apply, static_argnames="method")(
        whisper.variables, inputs["mel"], method="encode"
    )
    close(states[:, ::150], expected["states"], 2e-5)
    for i, weights in zip(expected["layers"], expected["cross_attentions"], strict=True):
        heard = captured[f"decoder.layers.{i}.cross_attention.weights"][..., :200]
        # Recorded in half precision, which rounds by up to 2^-11 of the value.
        np.testing.assert_allclose(heard, weights.astype(np.float32), rtol=2**-11, atol=1e-6)


def test_whisper_writes_what_was_said(whisper):
    expected = reference("whisper-tiny.en")
    tokens = expected["tokens"]
    inputs = whisper.encode([SENTENCE])
    spec = "steps.*.decoder.layers.3.cross_attention.weights"
    written, captured = whisper.generate(inputs, tokens.shape[1] + 5, capture=spec)
    assert written.lengths.tolist() == [tokens.shape[1]]
    np.testing.assert_array_equal(written.tokens[:, : tokens.shape[1]], tokens)
    assert whisper.tokenizer.decode(tokens[0].tolist()).strip() == str(expected["text"]).strip()
    (i,) = np.flatnonzero(expected["layers"] == 3)
    recorded = expected["cross_attentions"][i][0, :, 1:-1].astype(np.float32)
    steps = np.moveaxis(np.asarray(captured[spec])[: recorded.shape[1], 0, :, 0, :200], 0, 1)
    np.testing.assert_allclose(steps, recorded, rtol=2**-11, atol=1e-6)


def test_netra():
    expected = reference("netra")
    model = load("netra")
    inputs = model.encode(expected["words"].tolist())
    np.testing.assert_array_equal(inputs["tokens"], expected["tokens"])
    inputs["decoder_tokens"] = jax.numpy.asarray(expected["written"][:, :-1])
    logits, captured = captured_run(model, inputs)
    close(jax.nn.softmax(logits), expected["probabilities"], 2e-5)
    close(captured["attention.weights"], expected["attention"], 5e-6)
    spelled = [model.target_tokenizer.decode(row.tolist()) for row in expected["written"]]
    assert spelled == ["ស្រឡាញ់", "ភ្នំពេញ", "អភយ"]


def test_whisper_writes_down_what_was_said(whisper):
    expected = reference("whisper-tiny.en")
    tokens = expected["tokens"]
    written, lengths = whisper.generate(whisper.encode([SENTENCE]), tokens.shape[1] + 3)
    np.testing.assert_array_equal(written[:, : tokens.shape[1]], tokens)
    assert lengths.tolist() == [tokens.shape[1]]
    assert whisper.tokenizer.decode(written[0].tolist()) == str(expected["text"])
