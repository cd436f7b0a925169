"""A folder of a checkpoint, from arrays."""

import json
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file
from tokenizers import Tokenizer, models, pre_tokenizers

PREPROCESSING = {"size": {"height": 12, "width": 12}, "resample": 2}
"""What the checkpoints of models of images ask for."""


def write_folder(folder, config, tensors, words=()):
    """Write a checkpoint whose tokenizer knows these words, by their numbers."""
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "preprocessor_config.json").write_text(json.dumps(PREPROCESSING))
    save_file(tensors, folder / "model.safetensors")
    vocabulary = {"[PAD]": 0, "[UNK]": 1} | {word: i for i, word in enumerate(words, 2)}
    rules = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    rules.pre_tokenizer = pre_tokenizers.Whitespace()
    rules.enable_truncation(4)  # which a reader has to undo
    rules.save(str(folder / "tokenizer.json"))
    return folder


def golden_arrays(name, kind):
    """Return the arrays of a golden file that are of a kind: input, expected or tensor."""
    golden = np.load(Path(__file__).parent / f"pretrained_{name}.npz")
    start = f"{kind}/"
    return {key.removeprefix(start): golden[key] for key in golden if key.startswith(start)}


def golden_config(name):
    """Return the content of `config.json` that belongs to a golden file."""
    return json.loads(str(np.load(Path(__file__).parent / f"pretrained_{name}.npz")["config"]))


def write_golden(name, folder, words=()):
    """Write the checkpoint of a golden file into a folder, under the name of its family."""
    return write_folder(folder / name, golden_config(name), golden_arrays(name, "tensor"), words)
