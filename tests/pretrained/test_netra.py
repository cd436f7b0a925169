"""Netra's transliterator, against a loop over the equations of Keras's layers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from netra_file import CELLS, EMBEDDING, random_arrays, write_keras

from attn_jax import pretrained
from attn_jax.hooks import capture
from attn_jax.pretrained import PretrainedError


@pytest.fixture(scope="module")
def arrays():
    return random_arrays()


@pytest.fixture(scope="module")
def model(arrays, tmp_path_factory):
    return pretrained.load(write_keras(tmp_path_factory.mktemp("netra") / "tiny.keras", arrays))


def recurrence(x, kernel, recurrent_kernel, bias):
    """Return the state after each row: Keras's GRU with `reset_after`, gate by gate."""

    def sigmoid(x):
        return 1 / (1 + np.exp(-x))

    (w_z, w_r, w_h), (u_z, u_r, u_h) = (np.split(m, 3, 1) for m in (kernel, recurrent_kernel))
    (b_z, b_r, b_h), (c_z, c_r, c_h) = (np.split(b, 3) for b in bias)
    h, states = np.zeros(len(recurrent_kernel)), []
    for row in x:
        z = sigmoid(row @ w_z + b_z + h @ u_z + c_z)
        r = sigmoid(row @ w_r + b_r + h @ u_r + c_r)
        h = z * h + (1 - z) * np.tanh(row @ w_h + b_h + r * (h @ u_h + c_h))
        states.append(h)
    return np.array(states)


def expected(arrays, tokens, decoder_tokens):
    """Return the logits and the weights of one text, in float64."""
    a = {name: x.astype(np.float64) for name, x in arrays.items()}
    forward, backward, written = ([a[f"{cell}/vars/{i}"] for i in range(3)] for cell in CELLS)
    x = a["embedding/vars/0"][tokens]
    both = np.concatenate([recurrence(x, *forward), recurrence(x[::-1], *backward)[::-1]], 1)
    keys = both @ a["time_distributed/layer/vars/0"] + a["time_distributed/layer/vars/1"]
    logits, maps = [], []
    for query in recurrence(a["embedding_1/vars/0"][decoder_tokens], *written):
        scores = np.array([a["additive_attention/vars/0"] @ np.tanh(query + key) for key in keys])
        weights = np.exp(scores - scores.max())
        weights /= weights.sum()
        output = np.concatenate([query, weights @ keys])
        logits.append(output @ a["dense/vars/0"] + a["dense/vars/1"])
        maps.append(weights)
    return np.array(logits), np.array(maps)


def test_a_tiny_file_computes_what_the_equations_say(model, arrays):
    inputs = model.encode(["Phnom Penh", "sok"], ["កខគ", "ខ"])
    assert inputs["tokens"].shape == (2, 25)
    logits, captured = jax.jit(capture(model, "*.weights"))(inputs)
    assert list(captured) == ["attention.weights"]
    for i, length in enumerate((4, 2)):
        tokens, decoder_tokens = (np.asarray(x[i]) for x in inputs.values())
        wanted, weights = expected(arrays, tokens, decoder_tokens[:length])
        np.testing.assert_allclose(logits[i, :length], wanted, rtol=0, atol=2e-5)
        actual = captured["attention.weights"][i, :length]
        np.testing.assert_allclose(actual, weights, rtol=0, atol=2e-6)


def test_it_decodes_part_by_part_and_takes_tokens_back(model):
    tokens = jnp.array([[79, 5, 9, 4], [79, 7, 7, 80]])
    apply, variables = model.model.apply, model.variables
    states = apply(variables, model.encode(["a", "bc"])["tokens"], method="encode")
    whole = apply(variables, tokens, states, method="decode")
    cache, parts = model.model.empty_cache(2, 6), []
    for part in (tokens[:, :1], tokens[:, 1:3]):
        logits, state = apply(
            {**variables, "cache": cache}, part, states, method="decode", mutable=["cache"]
        )
        cache = state["cache"]
        parts.append(logits)
    np.testing.assert_allclose(jnp.concatenate(parts, 1), whole[:, :3], rtol=0, atol=1e-5)
    cache = {**cache, "length": jnp.array([1, 2])}
    rows = jnp.take_along_axis(tokens, cache["length"][:, None], 1)
    logits, _ = apply(
        {**variables, "cache": cache}, rows, states, method="decode", mutable=["cache"]
    )
    np.testing.assert_allclose(logits[:, 0], whole[jnp.arange(2), jnp.array([1, 2])], atol=1e-5)


def test_it_writes_until_the_line_ends(model, arrays):
    inputs = model.encode(["srolanh", "sok"])
    written = model.generate(inputs, 9)
    for tokens, row, length in zip(inputs["tokens"], written.tokens, written.lengths, strict=True):
        row, length = np.asarray(row), int(length)
        logits, _ = expected(arrays, np.asarray(tokens), row[: length - 1])
        np.testing.assert_array_equal(row[1:length], logits.argmax(-1))
        assert length == 10 or row[length - 1] == 80
        assert 80 not in row[: length - 1]


def test_it_reads_letters_and_writes_signs(model):
    inputs = model.encode(["Sok-Sabay 7"], ["សុខ"])
    letters = model.tokenizer.pieces(inputs["tokens"][0, :8].tolist())
    assert "".join(letters) == "soksabay"
    assert inputs["tokens"][0, 8:].tolist() == [0] * 17
    written = model.target_tokenizer
    assert inputs["decoder_tokens"][0, 0] == 79
    assert written.decode([*inputs["decoder_tokens"][0].tolist(), 80, 5]) == "សុខ"
    assert written.shown([79, 80, 0, 6]) == ["⇥", "⏎", "·", "ស"]


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["123"], "'123' has no letter from a to z"),
        (["a" * 26], "text 0 has 26 tokens, and the model takes 25"),
        ("sok", "takes a list of texts, not 'sok'"),
        ([], r"takes a list of texts, not \[\]"),
    ],
    ids=["no letter", "too long", "no list", "nothing"],
)
def test_what_it_cannot_read(texts, message, model):
    with pytest.raises(PretrainedError, match=message):
        model.encode(texts)


def test_damaged_and_other_files_are_refused(arrays, tmp_path):
    path = write_keras(tmp_path / "a.keras", arrays, ["Dense", "Lambda"])
    with pytest.raises(
        PretrainedError, match="a Keras model of the layers Dense, Lambda; the only"
    ):
        pretrained.load(path)
    content = write_keras(tmp_path / "a.keras", arrays).read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(PretrainedError, match=r"a\.keras is damaged"):
        pretrained.load(path)
    missing = {name: x for name, x in arrays.items() if name != "dense/vars/1"}
    with pytest.raises(PretrainedError, match="no tensor for head/bias"):
        pretrained.load(write_keras(path, missing))
    other = arrays | {"embedding/vars/0": np.zeros((7, EMBEDDING), np.float32)}
    with pytest.raises(PretrainedError, match="the model reads 7 letters and writes 81 signs"):
        pretrained.load(write_keras(path, other))
    write_keras(tmp_path / "b.keras", arrays)
    with pytest.raises(PretrainedError, match=r"several Keras files, a\.keras, b\.keras"):
        pretrained.load(tmp_path)
