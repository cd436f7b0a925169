"""Encoders with decoders: their readers, their two methods, and decoding with a cache."""

import io
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sentencepiece
from pretrained_folder import golden_arrays, golden_config, write_golden
from safetensors.numpy import load_file, save_file

from attn_jax import pretrained
from attn_jax.hooks import capture
from attn_jax.pretrained import PretrainedError

WORDS = ("the", "cat", "sat", "le", "chat")


@pytest.fixture
def bart(tmp_path):
    return write_golden("bart", tmp_path, WORDS)


def test_texts_and_targets_become_arguments(bart):
    inputs = pretrained.load(bart).encode(["the cat sat", "cat"], ["le chat", "le"])
    np.testing.assert_array_equal(inputs["tokens"], [[2, 3, 4], [3, 1, 1]])
    np.testing.assert_array_equal(inputs["key_mask"], [[1, 1, 1], [1, 0, 0]])
    # The start, and all tokens of the target but the last.
    np.testing.assert_array_equal(inputs["decoder_tokens"], [[3, 5], [3, 5]])


def test_without_targets_only_the_start_is_written(bart):
    inputs = pretrained.load(bart).encode(["the cat sat", "cat"])
    np.testing.assert_array_equal(inputs["decoder_tokens"], [[3], [3]])


def test_there_is_a_target_for_each_text(bart):
    with pytest.raises(PretrainedError, match="2 texts have 1 targets"):
        pretrained.load(bart).encode(["the", "cat"], ["le"])


def golden_inputs(name):
    return jax.tree.map(jnp.asarray, golden_arrays(name, "input"))


def test_it_encodes_once_and_decodes_by_itself(bart):
    model = pretrained.load(bart)
    inputs = golden_inputs("bart")
    apply, mask = model.model.apply, inputs["key_mask"]
    states = apply(model.variables, inputs["tokens"], mask, method="encode")
    logits = apply(model.variables, inputs["decoder_tokens"], states, mask, method="decode")
    expected = golden_arrays("bart", "expected")["output"]
    np.testing.assert_allclose(logits, expected, rtol=0, atol=2e-5 * np.abs(expected).max())


@pytest.mark.parametrize("name", ["bart", "marian", "t5"])
def test_the_logits_of_parts_are_those_of_the_whole(name, tmp_path):
    model = pretrained.load(write_golden(name, tmp_path))
    inputs, expected = golden_inputs(name), golden_arrays(name, "expected")["output"]
    apply, mask = model.model.apply, inputs["key_mask"]
    states = apply(model.variables, inputs["tokens"], mask, method="encode")

    @jax.jit
    def decode(variables, tokens, states):
        return apply(variables, tokens, states, mask, method="decode", mutable=["cache"])

    cache, parts = {"cache": model.model.empty_cache(2, 9)}, []
    for part in jnp.split(inputs["decoder_tokens"], [2, 3], axis=1):
        logits, cache = decode(model.variables | cache, part, states)
        states = jnp.zeros_like(states)  # whose keys and values are in the cache
        parts.append(logits)
    tolerance = 2e-5 * np.abs(expected).max()
    np.testing.assert_allclose(np.concatenate(parts, 1), expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize("name", ["bart", "marian", "t5"])
def test_it_writes_what_a_pass_without_a_cache_says(name, tmp_path):
    model = pretrained.load(write_golden(name, tmp_path))
    inputs = golden_inputs(name)
    inputs["decoder_tokens"] = inputs["decoder_tokens"][:, :2]
    cross = "decoder.layers.1.cross_attention.weights"
    written, steps = model.generate(inputs, 4, stop=(), capture=f"steps.*.{cross}")
    assert written.tokens.shape == (2, 6)
    inputs["decoder_tokens"] = written.tokens[:, :-1]
    logits, whole = jax.jit(capture(model, cross))(inputs)
    # The logits are compared, as two tokens may be equally likely.
    chosen = jnp.take_along_axis(logits[:, 1:], written.tokens[:, 2:, None], -1)[..., 0]
    np.testing.assert_allclose(chosen, logits[:, 1:].max(-1), rtol=0, atol=1e-4)
    (weights,) = steps.values()
    expected = jnp.moveaxis(whole[cross][:, :, 1:], 2, 0)[:, :, :, None]
    np.testing.assert_allclose(weights, expected, rtol=0, atol=2e-6)


def test_a_tied_tensor_may_have_any_of_its_names(bart):
    path = bart / "model.safetensors"
    tensors = load_file(path)
    names = ["model.shared.weight", "model.encoder.embed_tokens.weight", "lm_head.weight"]
    rest = {name: x for name, x in tensors.items() if name not in names}
    expected = pretrained.load(bart).variables["params"]["token_embedding"]["embedding"]
    for name in ("model.shared.weight", "model.decoder.embed_tokens.weight", "lm_head.weight"):
        kept = {k: x for k, x in rest.items() if "embed_tokens" not in k}
        save_file(kept | {name: tensors["model.shared.weight"]}, path)
        embedding = pretrained.load(bart).variables["params"]["token_embedding"]["embedding"]
        np.testing.assert_array_equal(embedding, expected)
    save_file(kept, path)
    with pytest.raises(PretrainedError, match="no tensor for token_embedding/embedding"):
        pretrained.load(bart)


def test_the_bias_of_the_logits_is_zero_where_there_is_none(bart):
    path = bart / "model.safetensors"
    tensors = load_file(path)
    del tensors["final_logits_bias"]
    save_file(tensors, path)
    bias = pretrained.load(bart).variables["params"]["logits_bias"]
    np.testing.assert_array_equal(bias, np.zeros((1, 50)))


def test_untied_logits_are_refused(bart):
    path = bart / "config.json"
    path.write_text(json.dumps(golden_config("bart") | {"tie_word_embeddings": False}))
    with pytest.raises(PretrainedError, match="tie_word_embeddings = False; only True"):
        pretrained.load(bart)


@pytest.mark.parametrize(
    "settings",
    [{"tie_word_embeddings": False}, {"scale_decoder_outputs": False, "tie_word_embeddings": True}],
    ids=["transformers 4", "transformers 5"],
)
def test_t5_1_1_has_logits_of_its_own(settings, tmp_path):
    folder = write_golden("mt5", tmp_path)
    config = golden_config("mt5") | {"model_type": "t5"} | settings
    (folder / "config.json").write_text(json.dumps(config))
    path = folder / "model.safetensors"
    tensors = load_file(path)
    save_file(tensors | {"lm_head.weight": 3 * tensors["lm_head.weight"]}, path)
    inputs, expected = golden_inputs("mt5"), golden_arrays("mt5", "expected")["output"]
    logits = jax.jit(pretrained.load(folder))(inputs)
    np.testing.assert_allclose(logits, 3 * expected, rtol=0, atol=6e-5 * np.abs(expected).max())
    # Where it is stored once, it is that of the embedding.
    del tensors["lm_head.weight"]
    save_file(tensors, path)
    params = pretrained.load(folder).variables["params"]
    np.testing.assert_array_equal(
        params["head"]["kernel"].T, params["token_embedding"]["embedding"]
    )


def trained(texts, size):
    """Return a sentencepiece model of some texts."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(texts),
        model_writer=model,
        vocab_size=size,
        hard_vocab_limit=False,
        num_threads=1,
        minloglevel=2,
    )
    return model.getvalue()


@pytest.fixture(scope="module")
def pieces():
    """Two sentencepiece models, and numbers for the pieces of both."""
    models = {
        "source": trained(["the cat sat on the mat", "a cat that sat"] * 9, 25),
        "target": trained(["le chat est assis", "un chat sur le tapis"] * 9, 25),
    }
    names = ["</s>", "<unk>", ">>fra<<"]
    for model in models.values():
        processor = sentencepiece.SentencePieceProcessor(model_proto=model)
        names += map(processor.id_to_piece, range(3, processor.get_piece_size()))
    return models, {name: i for i, name in enumerate([*dict.fromkeys(names), "<pad>"])}


@pytest.fixture
def marian(tmp_path, pieces):
    models, numbers = pieces
    folder = write_golden("marian", tmp_path)
    (folder / "tokenizer.json").unlink()
    for side, model in models.items():
        (folder / f"{side}.spm").write_bytes(model)
    (folder / "vocab.json").write_text(json.dumps(numbers))
    return folder


def test_each_side_of_marian_has_its_sentencepiece_model(marian, pieces):
    models, numbers = pieces
    model = pretrained.load(marian)
    inputs = model.encode([">>fra<<the cat"], ["un chat"])
    expected = {}
    for side, text in (("source", "the cat"), ("target", "un chat")):
        processor = sentencepiece.SentencePieceProcessor(model_proto=models[side])
        expected[side] = [numbers[piece] for piece in processor.encode(text, out_type=str)]
    np.testing.assert_array_equal(inputs["tokens"][0], [2, *expected["source"], 0])
    np.testing.assert_array_equal(inputs["decoder_tokens"][0], [3, *expected["target"]])
    assert model.target_tokenizer.decode([*expected["target"], 0]) == "un chat"
    assert model.tokenizer.pieces([2, 0]) == [">>fra<<", "</s>"]


def test_what_marian_does_not_know_is_unknown(marian):
    tokens = pretrained.load(marian).encode(["猫"])["tokens"]
    assert tokens[0, -2:].tolist() == [1, 0]


def test_a_target_vocabulary_of_its_own_is_read(marian, pieces):
    numbers = pieces[1]
    size = len(numbers)
    turned = {piece: size - 1 - number for piece, number in numbers.items()}
    (marian / "target_vocab.json").write_text(json.dumps(turned))
    inputs = pretrained.load(marian).encode(["cat"], ["chat"])
    (marian / "target_vocab.json").unlink()
    plain = pretrained.load(marian).encode(["cat"], ["chat"])
    np.testing.assert_array_equal(inputs["tokens"], plain["tokens"])
    np.testing.assert_array_equal(
        inputs["decoder_tokens"][:, 1:], size - 1 - plain["decoder_tokens"][:, 1:]
    )


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("source.spm", b"no model", "source.spm is damaged"),
        ("vocab.json", b"{", "vocab.json cannot be read"),
        ("vocab.json", b'{"a": 1}', "vocab.json is no vocabulary of Marian's"),
    ],
    ids=["model", "no JSON", "no vocabulary"],
)
def test_a_damaged_file_is_named(name, content, message, marian):
    (marian / name).write_bytes(content)
    with pytest.raises(PretrainedError, match=message):
        pretrained.load(marian)


def test_it_says_how_a_tokenizer_can_be_made(bart):
    (bart / "tokenizer.json").rename(bart / "sentencepiece.bpe.model")
    with pytest.raises(PretrainedError, match=r"AutoTokenizer.from_pretrained\(folder\).save"):
        pretrained.load(bart)
