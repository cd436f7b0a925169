"""Whisper in CTranslate2's format: the same model, and the line that says what is wrong."""

import json
import re
import struct

import numpy as np
import pytest
from pretrained_check import check
from pretrained_folder import golden_arrays, golden_config, write_folder

from attn_jax import pretrained
from attn_jax.pretrained import PretrainedError
from attn_jax.pretrained.reading.ctranslate2_file import read_file

CONFIG, TENSORS = golden_config("whisper"), golden_arrays("whisper", "tensor")
WORDS = ["<|endoftext|>", "<|startoftranscript|>", "<|notimestamps|>", "the", "cat"]
NAMES = {
    "self_attn.out_proj": "self_attention/linear_1",
    "self_attn_layer_norm": "self_attention/layer_norm",
    "encoder_attn.q_proj": "attention/linear_0",
    "encoder_attn.out_proj": "attention/linear_2",
    "encoder_attn_layer_norm": "attention/layer_norm",
    "final_layer_norm": "ffn/layer_norm",
    "fc1": "ffn/linear_0",
    "fc2": "ffn/linear_1",
}
NUMBERS = {"decoder/pre_norm": 1, "decoder/activation": 3, "decoder/alibi": 0}
NUMBERS |= {"encoder/num_heads": 4, "decoder/num_heads": 4}
SETTINGS = {"suppress_ids": [7, 11], "suppress_ids_begin": [5], "alignment_heads": [[1, 0]]}


def ctranslate2_arrays():
    """Return the golden tensors under CTranslate2's names, with joined projections."""
    arrays = {name: np.int8(number) for name, number in NUMBERS.items()}
    for name, x in TENSORS.items():
        parts = re.fullmatch(r"model\.(\w+)\.layers\.(\d+)\.(.+)\.(weight|bias)", name)
        if name == "proj_out.weight":
            continue
        if parts is None:
            name = name.removeprefix("model.").replace("embed_tokens", "embeddings")
            name = name.replace("embed_positions.weight", "position_encodings.encodings")
            arrays[_norm(name.replace(".", "/"))] = x
        elif parts[3] in NAMES:
            arrays[_norm(f"{parts[1]}/layer_{parts[2]}/{NAMES[parts[3]]}/{parts[4]}")] = x
    for side in ("encoder", "decoder"):
        for layer in range(2):
            ours, theirs = f"model.{side}.layers.{layer}", f"{side}/layer_{layer}"
            arrays |= _joined(f"{theirs}/self_attention/linear_0", f"{ours}.self_attn", "qkv")
            if side == "decoder":
                arrays |= _joined(f"{theirs}/attention/linear_1", f"{ours}.encoder_attn", "kv")
    return arrays


def _norm(name):
    if "layer_norm" not in name:
        return name
    return name.replace("/weight", "/gamma").replace("/bias", "/beta")


def _joined(name, module, letters):
    zeros = np.zeros(16, np.float32)
    return {
        f"{name}/{kind}": np.concatenate(
            [TENSORS.get(f"{module}.{letter}_proj.{kind}", zeros) for letter in letters]
        )
        for kind in ("weight", "bias")
    }


def packed(arrays, version=6, kind="WhisperSpec", aliases=()):
    def text(name):
        return struct.pack("<H", len(name) + 1) + name.encode() + b"\0"

    codes = {"float32": 0, "int8": 1, "int16": 2, "int32": 3, "float16": 4, "bfloat16": 5}
    content = struct.pack("<I", version) + text(kind) + struct.pack("<II", 3, len(arrays))
    for name, x in arrays.items():
        x = np.asarray(x)
        content += text(name) + struct.pack(f"<B{x.ndim}I", x.ndim, *x.shape)
        content += struct.pack("<BI", codes[x.dtype.name], x.nbytes) + x.tobytes()
    content += struct.pack("<I", len(aliases))
    return content + b"".join(text(second) + text(name) for second, name in aliases)


ARRAYS = ctranslate2_arrays()
ALIAS = ("decoder/projection/weight", "decoder/embeddings/weight")


@pytest.fixture
def folder(tmp_path):
    folder = write_folder(tmp_path / "whisper", SETTINGS, TENSORS, WORDS)
    (folder / "model.safetensors").unlink()
    (folder / "model.bin").write_bytes(packed(ARRAYS, aliases=[ALIAS]))
    return folder


def test_the_same_model_as_from_safetensors(folder):
    model = pretrained.load(folder)
    check(model, golden_arrays("whisper", "input"), golden_arrays("whisper", "expected"))
    sizes = {"eos_token_id": 2, "pad_token_id": 2}
    assert model.config == {name: CONFIG[name] for name in model.config} | sizes
    assert model.reader.generation == {
        "suppress_tokens": [7, 11],
        "begin_suppress_tokens": [5],
        "alignment_heads": [[1, 0]],
        "eos_token_id": 2,
    }


def other(**arrays):
    named = {name.replace("__", "/"): x for name, x in arrays.items()}
    return packed(ARRAYS | named)


KEY_BIAS = np.arange(48, dtype=np.float32)
WITHOUT = {name: x for name, x in ARRAYS.items() if name != "decoder/embeddings/weight"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "model.bin is damaged"),
        (packed(ARRAYS, version=3), "it is of version 3, and only CTranslate2's 6 is read"),
        (b"\x80\x02}q\x00.", "it is of version .*, and only"),
        (packed(ARRAYS, kind="TransformerSpec"), "is a TransformerSpec; .* only WhisperSpec"),
        (packed(ARRAYS)[:-500], "it ends at byte .*, before byte"),
        (packed(ARRAYS) + b"more", "4 bytes are left over"),
        (packed(ARRAYS, aliases=[("a", "b")]), "'a' stands for 'b', which is not there"),
        (packed({"x": np.ones(3)[:0].astype("f")})[:-9] + b"\7" + bytes(8), "the type 7"),
        (other(decoder__pre_norm=np.int8(0)), "says decoder/pre_norm = 0, and Whisper's is 1"),
        (packed(WITHOUT), "is no whole Whisper: 'decoder.embed_tokens.weight'"),
        (other(extra=np.ones(3, np.float32)), "no place for extra"),
        (other(encoder__conv1__bias=np.ones(16, np.int8)), "of type int8; quantized"),
        (
            other(encoder__layer_0__self_attention__linear_0__bias=KEY_BIAS),
            "keys have a bias, and Whisper's have none",
        ),
        (
            other(encoder__layer_0__self_attention__linear_0__bias=KEY_BIAS[:47]),
            "47 rows for 3 parts",
        ),
    ],
    ids=range(14),
)
def test_a_file_that_is_not_read_is_one_clear_line(content, message, folder):
    (folder / "model.bin").write_bytes(content)
    with pytest.raises(PretrainedError, match=message) as error:
        pretrained.load(folder)
    assert "\n" not in str(error.value)


def test_a_file_that_ends_anywhere_is_damaged(tmp_path):
    small = {name: ARRAYS[name] for name in ("decoder/pre_norm", "encoder/conv1/bias")}
    content, path = packed(small, aliases=[("a", "decoder/pre_norm")]), tmp_path / "model.bin"
    path.write_bytes(content)
    assert set(read_file(path)[1]) == {*small, "a"}
    for size in range(len(content)):
        path.write_bytes(content[:size])
        with pytest.raises(PretrainedError, match=r"model\.bin is damaged"):
            read_file(path)


def test_settings_of_another_kind(folder):
    (folder / "config.json").write_text(json.dumps({}))
    assert pretrained.load(folder).reader.generation == {"eos_token_id": 2}
    (folder / "config.json").unlink()
    with pytest.raises(PretrainedError, match=r"has no config\.json"):
        pretrained.load(folder)
