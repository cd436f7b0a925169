"""The tokenizer in a GGUF file: the pieces and merges of a byte-level vocabulary."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attn_jax.pretrained.errors import PretrainedError
from attn_jax.pretrained.reading.tokenizer import import_tokenizers, read_rules

_CONTROL, _USER_DEFINED = 3, 4
_SPLITS = ("smollm", "gpt-2")


def tokenizer_from(fields: Mapping[str, Any], path: Path) -> Any:
    """Build the tokenizer of a GGUF file, or read the `tokenizer.json` beside it.

    Args:
        fields: The metadata of the file.
        path: The file.

    Raises:
        PretrainedError: If the file has none, or one of a kind that is not known.
    """
    if (path.parent / "tokenizer.json").is_file():
        return read_rules(path.parent)
    _check_kind(fields, path)
    tokenizers = import_tokenizers()
    try:
        return _rules(fields, tokenizers)
    except Exception as error:  # the package raises plain exceptions
        raise PretrainedError(f"the tokenizer of {path} is damaged: {error!r}.") from error


def _check_kind(fields: Mapping[str, Any], path: Path) -> None:
    kind = fields.get("tokenizer.ggml.model"), fields.get("tokenizer.ggml.pre")
    if kind[0] != "gpt2" or kind[1] not in _SPLITS:
        raise PretrainedError(
            f"the tokenizer of {path} is of the kind {kind[0]!r}, {kind[1]!r}; known are 'gpt2' "
            f"with {' or '.join(map(repr, _SPLITS))}. Put the model's tokenizer.json beside it."
        )


def _rules(fields: Mapping[str, Any], tokenizers: Any) -> Any:
    pre_tokenizers = tokenizers.pre_tokenizers
    pieces = fields["tokenizer.ggml.tokens"]
    merges = [tuple(merge.split(" ")) for merge in fields["tokenizer.ggml.merges"]]
    numbers = {piece: i for i, piece in enumerate(pieces)}
    rules = tokenizers.Tokenizer(tokenizers.models.BPE(numbers, merges))
    split = pre_tokenizers.ByteLevel(add_prefix_space=False)
    if fields["tokenizer.ggml.pre"] == "smollm":
        digits = pre_tokenizers.Digits(individual_digits=True)
        split = pre_tokenizers.Sequence([digits, split])
    rules.pre_tokenizer = split
    rules.decoder = tokenizers.decoders.ByteLevel()
    kinds = fields["tokenizer.ggml.token_type"]
    rules.add_special_tokens([p for p, k in zip(pieces, kinds, strict=True) if k == _CONTROL])
    rules.add_tokens([p for p, k in zip(pieces, kinds, strict=True) if k == _USER_DEFINED])
    if fields.get("tokenizer.ggml.add_bos_token"):
        number = fields["tokenizer.ggml.bos_token_id"]
        rules.post_processor = tokenizers.processors.TemplateProcessing(
            single=[pieces[number], "$A"], special_tokens=[(pieces[number], number)]
        )
    return rules
