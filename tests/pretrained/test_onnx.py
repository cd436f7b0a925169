"""DINOv2 in an ONNX file, whose tensors have the names of the nodes that use them."""

import jax
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from pretrained_folder import golden_arrays, golden_config, write_golden

from attn_jax import pretrained
from attn_jax.pretrained import PretrainedError

TENSORS = {
    name.removeprefix("dinov2."): x
    for name, x in golden_arrays("dinov2", "tensor").items()
    if name.startswith("dinov2.")
}
LAYER = "encoder.layer.0.attention.attention"


def node(kind, module, *inputs, name="", value=None):
    """Return a node as PyTorch names it, by its module."""
    attributes = {}
    if value is not None:
        attributes["value"] = numpy_helper.from_array(np.asarray(value))
    label = f"/backbone/{module.replace('.', '/').replace('/layer/', '/layer.')}/{name or kind}"
    return helper.make_node(kind, inputs, [f"{label}_output_0"], name=label, **attributes)


def graph_of(tensors, **parts):
    """Return the nodes and constants of an export, without what has nothing to do with weights."""
    constants, nodes = {"decoder.upconv.weight": np.ones((2, 2), np.float32)}, []
    for i, (name, x) in enumerate(tensors.items()):
        if name == "embeddings.position_embeddings":
            constants |= {"onnx::Concat_1": x[:, :1], "onnx::Reshape_2": x[:, 1:]}
            nodes.append(node("Reshape", "embeddings", "onnx::Reshape_2", "grid"))
            nodes.append(node("Concat", "embeddings", "onnx::Concat_1", "resized"))
        elif name.endswith(".weight") and x.ndim == 2:
            constants[f"onnx::MatMul_{i}"] = x.T
            module = name.removesuffix(".weight")
            nodes.append(node("MatMul", module, "states", f"onnx::MatMul_{i}"))
        else:
            constants[f"backbone.{name}"] = x
    heads = node("Constant", LAYER, name="Constant_1", value=np.array([parts.get("heads", 4)]))
    nodes += [
        node("Constant", "encoder.layer.0.norm1", value=np.float32(2)),
        node("Constant", "encoder.layer.0.norm1", name="Constant_1", value=np.float32(1e-6)),
        heads,
        node("Concat", LAYER, "batch", "tokens", heads.output[0], "size"),
    ]
    return nodes, constants


def write_onnx(path, tensors=TENSORS, without=(), **parts):
    nodes, constants = graph_of(tensors, **parts)
    nodes = [each for each in nodes if not any(word in each.name for word in without)]
    initializers = [numpy_helper.from_array(x, name) for name, x in constants.items()]
    graph = helper.make_graph(nodes, "main", [], [], initializers)
    path.write_bytes(helper.make_model(graph).SerializeToString())
    return path


def test_it_holds_the_same_parameters_as_the_folder(tmp_path):
    expected = pretrained.load(write_golden("dinov2", tmp_path))
    model = pretrained.load(write_onnx(tmp_path / "model.onnx"))
    params = {k: x for k, x in expected.variables["params"].items() if k != "head"}
    jax.tree.map(np.testing.assert_array_equal, model.variables["params"], params)
    assert model.model == expected.model.clone(head=None)
    (shown,) = model.reader.shown([np.zeros((300, 500, 3), np.uint8)])
    assert shown.shape == (224, 224, 3)


def test_a_folder_with_one_onnx_file(tmp_path):
    write_onnx(tmp_path / "model.onnx")
    assert pretrained.load(tmp_path).config["hidden_size"] == golden_config("dinov2")["hidden_size"]
    write_onnx(tmp_path / "other.onnx")
    with pytest.raises(PretrainedError, match=r"several ONNX files, model.onnx, other.onnx"):
        pretrained.load(tmp_path)


def outside(path):
    """Write a model that keeps a tensor in another file."""
    model = onnx.load(write_onnx(path))
    (tensor,) = (x for x in model.graph.initializer if x.name.endswith("layernorm.bias"))
    tensor.data_location = TensorProto.EXTERNAL
    tensor.ClearField("raw_data")
    tensor.external_data.add(key="location", value="/etc/hostname")
    path.write_bytes(model.SerializeToString())


def without_norm(path):
    write_onnx(path, {k: x for k, x in TENSORS.items() if k != "layernorm.bias"})


def without_scales(path):
    write_onnx(path, {k: x for k, x in TENSORS.items() if "layer_scale" not in k})


def truncated(path):
    path.write_bytes(write_onnx(path).read_bytes()[:-500])


DAMAGES = {
    "truncated": (truncated, "model.onnx is damaged"),
    "empty": (lambda path: path.write_bytes(b""), "is no DINOv2 as PyTorch exports it"),
    "another model": (without_scales, "is no DINOv2 as PyTorch exports it"),
    "no heads": (
        lambda path: write_onnx(path, without=["attention/Concat"]),
        "the number of heads cannot be read",
    ),
    "heads from elsewhere": (
        lambda path: write_onnx(path, without=["attention/Constant_1"]),
        "the value of /backbone/encoder/layer.0/attention/attention/Constant_1_output_0 cannot",
    ),
    "no epsilon": (
        lambda path: write_onnx(path, without=["norm1/Constant_1"]),
        "the epsilon of its normalizations cannot be read",
    ),
    "other heads": (lambda path: write_onnx(path, heads=5), "must divide"),
    "a tensor outside": (outside, r"tensor 'backbone.layernorm.bias' cannot be read"),
    "a tensor missing": (without_norm, "no tensor for norm/bias"),
    "no positions": (
        lambda path: write_onnx(path, without=["embeddings/Reshape"]),
        "the tensor embeddings.position_embeddings cannot be read",
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_one_clear_line(damage, tmp_path):
    make, message = DAMAGES[damage]
    make(tmp_path / "model.onnx")
    with pytest.raises(ValueError, match=message) as error:
        pretrained.load(tmp_path / "model.onnx")
    assert "\n" not in str(error.value)
