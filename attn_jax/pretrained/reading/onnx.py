"""DINOv2 in an ONNX file, as PyTorch's exporter writes transformers' model.

Such a file holds a program and its constants. Here the program is not run: its names say which
constant is which tensor, and a few of its constants say what `config.json` would.
"""

import math
import re
from pathlib import Path
from typing import Any

import numpy as np

from attn_jax.pretrained.errors import PretrainedError
from attn_jax.pretrained.reading.tensors import Tensors

_CLASS_TOKEN = "embeddings.cls_token"
_POSITIONS = "embeddings.position_embeddings"
_PATCHES = "embeddings.patch_embeddings.projection.weight"
_HIDDEN = "encoder.layer.0.mlp.fc1.bias"
PREPROCESSING = {
    "size": {"shortest_edge": 256},
    "do_center_crop": True,
    "crop_size": {"height": 224, "width": 224},
    "resample": 3,
    "image_mean": [0.485, 0.456, 0.406],
    "image_std": [0.229, 0.224, 0.225],
}
"""What the `preprocessor_config.json` of DINOv2's makers asks for."""


class OnnxFile:
    """An open ONNX file.

    Attributes:
        path: Where it lies.
        tensors: Its tensors, under the names that transformers gives them.
    """

    def __init__(self, path: Path, graph: Any) -> None:
        self.path = path
        constants = {tensor.name: tensor for tensor in graph.initializer}
        prefixes = [name.removesuffix(_CLASS_TOKEN) for name in constants if _is_class_token(name)]
        if not prefixes or not any(name.endswith("layer_scale1.lambda1") for name in constants):
            raise PretrainedError(
                f"{path} is no DINOv2 as PyTorch exports it, the only model that is read from ONNX."
            )
        self._nodes = list(_nodes_of(graph, prefixes[0]))
        self._values = {
            node.output[0]: node.attribute[0].t for _, node in self._nodes if _is_constant(node)
        }
        self.tensors = _OnnxTensors(self._named(constants, prefixes[0]))

    @property
    def config(self) -> dict[str, Any]:
        """The settings that `config.json` would have."""
        shapes = {name: self.tensors.shape(name) for name in self.tensors}
        for name in (_POSITIONS, _PATCHES, _HIDDEN):
            if name not in shapes:
                raise self._misses(f"tensor {name}")
        features, _, height, width = shapes[_PATCHES]
        side = math.isqrt(shapes[_POSITIONS][1] - 1)
        return {
            "model_type": "dinov2",
            "hidden_size": features,
            "num_hidden_layers": sum(name.endswith(".norm1.weight") for name in shapes),
            "num_attention_heads": self._heads(),
            "mlp_ratio": shapes[_HIDDEN][0] / features,
            "hidden_act": "gelu",
            "layer_norm_eps": self._epsilon(),
            "image_size": [side * height, side * width],
            "patch_size": [height, width],
        }

    def _named(self, constants: dict[str, Any], prefix: str) -> dict[str, list[tuple[Any, bool]]]:
        """Return the constants that make up each tensor, and whether they are transposed."""
        named = {
            name.removeprefix(prefix): [(tensor, False)]
            for name, tensor in constants.items()
            if name.startswith(prefix)
        }
        positions = {}
        for module, node in self._nodes:
            tensors = [constants[name] for name in node.input if name in constants]
            if node.op_type == "MatMul" and tensors:
                named[f"{module}.weight"] = [(tensors[0], True)]
            if module == "embeddings" and node.op_type in ("Concat", "Reshape") and tensors:
                positions[node.op_type] = tensors[0], False
        if len(positions) == 2:
            named[_POSITIONS] = [positions["Concat"], positions["Reshape"]]
        return named

    def _heads(self) -> int:
        """Return the number of heads: the third size to which the keys are reshaped."""
        for module, node in self._nodes:
            if module.endswith("layer.0.attention.attention") and node.op_type == "Concat":
                return int(self._value(node.input[2]))
        raise self._misses("number of heads")

    def _epsilon(self) -> float:
        for module, node in self._nodes:
            if module.endswith("layer.0.norm1") and _is_constant(node):
                value = self._value(node.output[0])
                if value < 0.1:  # the other constant is the exponent, two
                    return float(f"{value:.6g}")
        raise self._misses("epsilon of its normalizations")

    def _value(self, name: str) -> float:
        if name not in self._values:
            raise self._misses(f"value of {name}")
        return float(_array(self._values[name]).item())

    def _misses(self, part: str) -> PretrainedError:
        return PretrainedError(
            f"the {part} cannot be read from {self.path}: it was exported in another way than by "
            "torch.onnx.export of transformers' Dinov2Model."
        )


class _OnnxTensors(Tensors):
    """The tensors of an ONNX file by transformers' names."""

    def __getitem__(self, name: str) -> np.ndarray:
        parts = [
            _array(part).T if is_turned else _array(part) for part, is_turned in self._files[name]
        ]
        return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)

    def shape(self, name: str) -> tuple[int, ...]:
        shapes = [tuple(part.dims)[:: -1 if turned else 1] for part, turned in self._files[name]]
        if len(shapes) == 1:
            return shapes[0]
        return (1, sum(shape[1] for shape in shapes), shapes[0][-1])


def _is_class_token(name: str) -> bool:
    return re.fullmatch(rf"(\w+\.)*{re.escape(_CLASS_TOKEN)}", name) is not None


def _is_constant(node: Any) -> bool:
    return node.op_type == "Constant" and node.attribute[0].name == "value"


def _nodes_of(graph: Any, prefix: str) -> Any:
    """Yield the nodes of the model with the names of their modules, `encoder.layer.0.norm1`."""
    for node in graph.node:
        module = ".".join(node.name.split("/")[1:-1])
        if f"{module}.".startswith(prefix):
            yield module.removeprefix(prefix), node


def _array(tensor: Any) -> np.ndarray:
    from onnx import numpy_helper

    try:
        return numpy_helper.to_array(tensor)
    except Exception as error:  # what a damaged file raises is not documented
        raise PretrainedError(f"tensor {tensor.name!r} cannot be read: {error}.") from error


def find_onnx(path: Path) -> Path | None:
    """Return the ONNX file that a path is, or that alone lies in a folder without `config.json`.

    Raises:
        PretrainedError: If there are several.
    """
    if path.suffix == ".onnx" and path.is_file():
        return path
    if (path / "config.json").exists():
        return None
    files = sorted(path.glob("*.onnx"))
    if len(files) > 1:
        names = ", ".join(file.name for file in files)
        raise PretrainedError(f"{path} holds several ONNX files, {names}: name one of them.")
    return files[0] if files else None


def open_onnx(path: Path) -> OnnxFile:
    """Open an ONNX file.

    Raises:
        PretrainedError: If it is damaged, or of another model than DINOv2.
    """
    try:
        import onnx
    except ImportError as error:
        raise PretrainedError(
            "reading ONNX needs the package onnx: pip install 'attn-jax[hub]'."
        ) from error
    try:
        # A file of data never says where to look: tensors outside it are not loaded.
        model = onnx.load(path, load_external_data=False)
    except Exception as error:  # what a damaged file raises is not documented
        raise PretrainedError(f"{path} is damaged: {error}; fetch it again.") from error
    return OnnxFile(path, model.graph)
