"""A folder of a checkpoint, from arrays."""

import json

from safetensors.numpy import save_file
from tokenizers import Tokenizer, models, pre_tokenizers


def write_folder(folder, config, tensors, words=()):
    """Write a checkpoint whose tokenizer knows these words, by their numbers."""
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    save_file(tensors, folder / "model.safetensors")
    vocabulary = {"[PAD]": 0, "[UNK]": 1} | {word: i for i, word in enumerate(words, 2)}
    rules = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    rules.pre_tokenizer = pre_tokenizers.Whitespace()
    rules.enable_truncation(4)  # which a reader has to undo
    rules.save(str(folder / "tokenizer.json"))
    return folder
