"""GGUF files: the same model as from safetensors, and what is said of files that are not read."""

import re
import string
import sys

import gguf
import jax.numpy as jnp
import numpy as np
import pytest
from pretrained_folder import golden_arrays, golden_config, write_folder

from attn_jax import pretrained
from attn_jax.pretrained import PretrainedError
from attn_jax.pretrained.reading.gguf_layout import read_layout

END, MERGED = "<|end|>", ["th", "the", "12"]
PIECES = [END, "Ġ", *string.ascii_lowercase, *string.digits, *MERGED]
PIECES += [f"<{i}>" for i in range(50 - len(PIECES))]
MERGES = ["t h", "th e", "1 2"]
NAMES = {
    "embed_tokens": "token_embd",
    "norm": "output_norm",
    "lm_head": "output",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
    "input_layernorm": "attn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "post_attention_layernorm": "ffn_norm",
}


def golden(family):
    return golden_config(family), golden_arrays(family, "tensor")


def permuted(rows, heads):
    """Return rows as llama.cpp's convert_hf_to_gguf.py stores those of Llama's q and k."""
    halves = rows.reshape(heads, 2, rows.shape[0] // heads // 2, *rows.shape[1:])
    return halves.swapaxes(1, 2).reshape(rows.shape)


def write_gguf(path, family="llama", quantized=(), extra=lambda writer: None, **metadata):
    config, tensors = golden(family)
    writer = gguf.GGUFWriter(path, metadata.get("architecture", family))
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(metadata.get("mlp_dim", config["intermediate_size"]))
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_freq_base(10_000.0)
    writer.add_key_length(config.get("head_dim") or 8)
    writer.add_tokenizer_model(metadata.get("tokenizer", "gpt2"))
    writer.add_tokenizer_pre(metadata.get("split", "smollm"))
    writer.add_token_list(PIECES)
    writer.add_token_types([3] + [1] * 49)
    writer.add_token_merges(MERGES)
    writer.add_bos_token_id(0)
    writer.add_pad_token_id(0)
    extra(writer)
    for name, x in tensors.items():
        if name == "lm_head.weight" and config["tie_word_embeddings"]:
            continue
        match = re.fullmatch(r"(?:model\.)?(?:layers\.(\d+)\.)?(.+)\.(weight|bias)", name)
        layer, part, kind = match.groups()
        if family == "llama" and part in ("self_attn.q_proj", "self_attn.k_proj"):
            x = permuted(x, config[f"num_{'attention' if 'q_' in part else 'key_value'}_heads"])
        ours = f"{f'blk.{layer}.' if layer else ''}{NAMES[part]}.{kind}"
        if part in quantized:
            kind = gguf.GGMLQuantizationType.Q8_0
            writer.add_tensor(ours, gguf.quants.quantize(x, kind), raw_dtype=kind)
        else:
            writer.add_tensor(ours, x)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.mark.parametrize("family", ["llama", "qwen3"])
def test_the_same_model_as_from_safetensors(family, tmp_path):
    config, tensors = golden(family)
    tokens = {"tokens": jnp.arange(2, 9)[None]}
    expected = pretrained.load(write_folder(tmp_path / "folder", config, tensors))
    model = pretrained.load(write_gguf(tmp_path / "model.gguf", family))
    np.testing.assert_allclose(model(tokens), expected(tokens), rtol=0, atol=1e-6)
    assert model.config["tie_word_embeddings"] == config["tie_word_embeddings"]


def test_texts(tmp_path):
    write_gguf(tmp_path / "model.gguf", extra=lambda w: w.add_add_bos_token(True))
    model = pretrained.load(tmp_path)
    tokens = model.encode(["the 12 hats", f"{END}a"])["tokens"].tolist()
    assert model.tokenizer.pieces(tokens[0]) == [END, "the", *"Ġ12Ġhats"]
    assert model.tokenizer.pieces(tokens[1])[:3] == [END, END, "a"]
    assert model.tokenizer.decode(tokens[0]) == "the 12 hats"
    assert model.tokenizer.limit == 40


def test_digits_stay_together_in_another_split(tmp_path):
    model = pretrained.load(write_gguf(tmp_path / "model.gguf", split="gpt-2"))
    assert model.tokenizer.pieces(model.encode(["12"])["tokens"][0].tolist()) == ["12"]


def test_quantized_tensors_are_the_numbers_they_stand_for(tmp_path):
    path = write_gguf(tmp_path / "model.gguf", quantized=["self_attn.q_proj", "embed_tokens"])
    params = pretrained.load(path).variables["params"]
    _, tensors = golden("llama")
    for ours, theirs in (
        (params["token_embedding"]["embedding"], "model.embed_tokens.weight"),
        (
            params["layers_1"]["attention"]["query"]["kernel"].reshape(32, 32).T,
            "model.layers.1.self_attn.q_proj.weight",
        ),
    ):
        # Q8_0 holds 32 numbers as integers of up to 127 times a scale in half precision.
        steps = np.abs(tensors[theirs]).max(-1, keepdims=True) / 127
        error = np.abs(np.asarray(ours) - tensors[theirs])
        assert (error < 0.6 * steps).all()
        assert error.max() > 0


def write_many_types(writer):
    for kind in ("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"):
        getattr(writer, f"add_{kind}")(f"a.{kind}", 5 if kind[0] == "u" else -5)
    writer.add_float32("a.float32", 0.1)
    writer.add_float64("a.float64", 0.1)
    writer.add_bool("a.bool", True)
    writer.add_string("a.string", "Ġhüte")
    for name, values in {
        "strings": ["", "é"],
        "ints": [1, -2],
        "floats": [0.1],
        "bools": [True],
    }.items():
        writer.add_array(f"a.{name}", values)


def test_the_layout_is_what_the_package_reads(tmp_path):
    path = write_gguf(tmp_path / "model.gguf", quantized=["embed_tokens"], extra=write_many_types)
    layout, reader = read_layout(path, gguf.constants.GGML_QUANT_SIZES), gguf.GGUFReader(path)
    fields = {n: f.contents() for n, f in reader.fields.items() if not n.startswith("GGUF.")}
    assert layout.fields == fields
    assert [tuple(tensor) for tensor in layout.tensors] == [
        (t.name, tuple(t.shape[::-1]), t.tensor_type, t.data_offset, t.n_bytes)
        for t in reader.tensors
    ]


def test_each_tensor_is_read_once(tmp_path, monkeypatch):
    path, shapes, dequantize = write_gguf(tmp_path / "model.gguf"), [], gguf.quants.dequantize

    def counted(rows, kind):
        shapes.append(rows.shape)
        return dequantize(rows, kind)

    monkeypatch.setattr(gguf.quants, "dequantize", counted)
    pretrained.load(path)
    assert len(shapes) == len(gguf.GGUFReader(path).tensors)


def test_positions_that_are_divided(tmp_path):
    def scaled(writer):
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(4.0)

    model = pretrained.load(write_gguf(tmp_path / "model.gguf", extra=scaled))
    assert [layer.rotary_factor for layer in model.model.stack] == [4.0, 4.0]


def truncated(folder):
    path = write_gguf(folder / "model.gguf")
    path.write_bytes(path.read_bytes()[:-100])


REFUSED = {
    "truncated": (truncated, "model.gguf is damaged"),
    "no GGUF": (
        lambda f: (f / "a.gguf").write_bytes(b"x" * 99),
        "damaged: it does not begin with GGUF",
    ),
    "an old version": (
        lambda f: (f / "a.gguf").write_bytes(b"GGUF\1\0\0\0" + bytes(99)),
        r"it has version 1, and known are \(2, 3\)",
    ),
    "a length beyond the end": (
        lambda f: (f / "a.gguf").write_bytes(b"GGUF\3\0\0\0" + b"\xff" * 99),
        "damaged: it ends too early",
    ),
    "empty": (lambda f: (f / "a.gguf").write_bytes(b""), "a.gguf is damaged"),
    "several": (
        lambda f: [write_gguf(f / f"{name}.gguf") for name in "ab"],
        "holds several GGUF files, a.gguf, b.gguf: name one",
    ),
    "another architecture": (
        lambda f: write_gguf(f / "a.gguf", architecture="mamba"),
        "of the architecture 'mamba', and those that are read from GGUF are llama, qwen2, qwen3",
    ),
    "another tokenizer": (
        lambda f: write_gguf(f / "a.gguf", tokenizer="llama", split="default"),
        "of the kind 'llama', 'default'; known are 'gpt2' with 'smollm' or 'gpt-2'",
    ),
    "a part": (
        lambda f: write_gguf(f / "a.gguf", extra=lambda w: w.add_uint16("split.count", 3)),
        "is one of 3 parts; join them",
    ),
    "sizes for each layer": (
        lambda f: write_gguf(f / "a.gguf", mlp_dim=[48, 40]),
        "has a 'feed_forward_length' for each layer",
    ),
    "scaled rotary positions": (
        lambda f: write_gguf(
            f / "a.gguf",
            extra=lambda w: w.add_rope_scaling_type(gguf.RopeScalingType.YARN),
        ),
        "rotary positions of the kind 'yarn'",
    ),
    "rotary positions of some features": (
        lambda f: write_gguf(f / "a.gguf", extra=lambda w: w.add_rope_dimension_count(4)),
        "on 0.5 of each head's features",
    ),
    "a window": (
        lambda f: write_gguf(f / "a.gguf", extra=lambda w: w.add_sliding_window(3)),
        "has a sliding window, which",
    ),
    "a tensor left over": (
        lambda f: write_gguf(
            f / "a.gguf", extra=lambda w: w.add_tensor("rope_freqs.weight", np.ones(4, "f4"))
        ),
        "no place for rope_freqs.weight",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_file_that_is_not_read_is_one_clear_line(case, tmp_path):
    write, message = REFUSED[case]
    write(tmp_path)
    with pytest.raises(PretrainedError, match=message) as error:
        pretrained.load(tmp_path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("package", ["gguf", "tokenizers"])
def test_a_missing_package_names_its_install_line(package, tmp_path, monkeypatch):
    path = write_gguf(tmp_path / "model.gguf")
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(PretrainedError, match=rf"package {package}: pip install 'attn-jax\[hub\]'"):
        pretrained.load(path)
