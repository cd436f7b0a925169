"""The architectures that checkpoints name, a file for each family."""

from typing import Any

from attn_jax.pretrained.errors import PretrainedError
from attn_jax.pretrained.families import (
    bart,
    bert,
    clip,
    gemma,
    gpt2,
    llama,
    netra,
    t5,
    vit,
    whisper,
)
from attn_jax.pretrained.families.family import Family

FAMILIES: tuple[Family, ...] = (
    bert.BERT,
    bert.ROBERTA,
    bert.DISTILBERT,
    gpt2.GPT2,
    llama.LLAMA,
    llama.MISTRAL,
    llama.QWEN2,
    llama.QWEN3,
    gemma.GEMMA2,
    gemma.GEMMA3,
    clip.CLIP,
    vit.VIT,
    vit.DEIT,
    vit.DINOV2,
    vit.DINOV2_WITH_REGISTERS,
    whisper.WHISPER,
    bart.BART,
    bart.MBART,
    bart.MARIAN,
    t5.T5_FAMILY,
    t5.MT5,
    netra.NETRA,
)


def family_of(config: dict[str, Any]) -> Family:
    """Return the family that reads a checkpoint.

    Raises:
        PretrainedError: If none does; the message lists those there are.
    """
    name = config.get("model_type")
    for family in FAMILIES:
        if name == family.model_type:
            return family
    known = ", ".join(family.model_type for family in FAMILIES)
    raise PretrainedError(
        f"config.json says model_type {name!r}, and the families known here are {known}. "
        "interop.open_torch opens any model of transformers by PyTorch instead."
    )
