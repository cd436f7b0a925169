"""What transformers makes of Whisper's weights in CTranslate2's format, for the references.

The file is read here once more, without a line of the library's own reader.
"""

import struct

import numpy as np
import torch
import transformers

TYPES = {0: "<f4", 1: "i1", 2: "<i2", 4: "<f2"}
LINEAR = {
    "self_attention/linear_0": [f"self_attn.{letter}_proj" for letter in "qkv"],
    "self_attention/linear_1": ["self_attn.out_proj"],
    "attention/linear_0": ["encoder_attn.q_proj"],
    "attention/linear_1": ["encoder_attn.k_proj", "encoder_attn.v_proj"],
    "attention/linear_2": ["encoder_attn.out_proj"],
    "ffn/linear_0": ["fc1"],
    "ffn/linear_1": ["fc2"],
}
NORMS = {
    "self_attention/layer_norm": "self_attn_layer_norm",
    "attention/layer_norm": "encoder_attn_layer_norm",
    "ffn/layer_norm": "final_layer_norm",
}


def arrays_of(content):
    """Return the arrays of a file by name."""
    position = 0

    def take(code):
        nonlocal position
        (value,) = struct.unpack_from(f"<{code}", content, position)
        position += struct.calcsize(f"<{code}")
        return value

    def text():
        return take(f"{take('H')}s")[:-1].decode()

    take("I"), text(), take("I")
    arrays = {}
    for _ in range(take("I")):
        name, shape = text(), [take("I") for _ in range(take("B"))]
        code, size = take("B"), take("I")
        array = np.frombuffer(content, TYPES[code], int(np.prod(shape)), position)
        arrays[name], position = array.reshape(shape).astype(np.float32), position + size
    return arrays


def whisper_of(content):
    """Return transformers' model with the arrays of a file."""
    arrays, tensors = arrays_of(content), {}
    for name in [name for name in arrays if arrays[name].ndim]:
        side, *parts = name.split("/")
        if parts[0].startswith("layer_") and parts[0][6:].isdigit():
            module, kind = "/".join(parts[1:-1]), parts[-1]
            layer = f"{side}.layers.{parts[0][6:]}"
            if module in NORMS:
                kind = {"gamma": "weight", "beta": "bias"}[kind]
                tensors[f"{layer}.{NORMS[module]}.{kind}"] = arrays[name]
                continue
            rows = np.split(arrays[name], len(LINEAR[module]))
            for part, array in zip(LINEAR[module], rows, strict=True):
                tensors[f"{layer}.{part}.{kind}"] = array
            continue
        renamed = name.replace("embeddings", "embed_tokens").replace("gamma", "weight")
        renamed = renamed.replace("position_encodings/encodings", "embed_positions/weight")
        tensors[renamed.replace("/beta", "/bias").replace("/", ".")] = arrays[name]
    tensors = {
        f"model.{name}": torch.from_numpy(np.ascontiguousarray(x))
        for name, x in tensors.items()
        if not name.endswith("k_proj.bias")  # zeros, for which there is no place
    }
    config = transformers.WhisperConfig(vocab_size=51864, attn_implementation="eager")
    model = transformers.WhisperForConditionalGeneration(config).eval()
    missing, extra = model.load_state_dict(tensors, strict=False)
    assert (missing, extra) == (["proj_out.weight"], []), (missing, extra)  # the embedding
    return model
