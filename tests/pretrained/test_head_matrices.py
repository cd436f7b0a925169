"""The weights of heads as matrices: against the projections that the model computes."""

import jax.numpy as jnp
import numpy as np
import pytest
from pretrained_folder import golden_arrays, write_golden

from attn_jax import pretrained
from attn_jax.hooks import capture
from attn_jax.pretrained import PretrainedError
from attn_jax.pretrained.head_matrices import head_matrices


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return pretrained.load(write_golden("llama", tmp_path_factory.mktemp("llama")))


def test_they_project_the_normalized_stream(model):
    """Two heads share each value. Query and key are turned by positions, and left out here."""
    names = ["residual", "attention.value", "attention.context", "attention.head_output"]
    names = [f"layers.1.{name}" for name in names]
    tokens = golden_arrays("llama", "input")["tokens"]
    _, captured = capture(model, names)({"tokens": tokens})
    stream, value, context, output = (np.asarray(captured[name]) for name in names)
    denominator = np.sqrt(np.square(stream).mean(-1, keepdims=True) + 1e-6)
    matrices = model.head_matrices("layers.1.*", fold="attention_norm")
    assert matrices.query.shape == matrices.key.shape == (1, 4, 32, 8)
    values = np.einsum("btf,hfd->bthd", stream / denominator, matrices.value[0])
    np.testing.assert_allclose(values[:, :, ::2], value, atol=2e-5)
    np.testing.assert_array_equal(matrices.value[0, 0], matrices.value[0, 1])
    outputs = np.einsum("bthd,hdf->bthf", context, matrices.out[0])
    np.testing.assert_allclose(outputs, output, atol=2e-5)


def test_layers_are_in_the_order_of_their_numbers():
    def layer(number):
        kernels = {
            name: {"kernel": jnp.full((2, 1, 3), number)} for name in ("query", "key", "value")
        }
        return {"attention": {**kernels, "out": {"kernel": jnp.full((1, 3, 2), number)}}}

    params = {f"layers_{i}": layer(i) for i in (10, 2, 1)} | {"embedding": {"kernel": jnp.ones(1)}}
    matrices = head_matrices(params)
    np.testing.assert_array_equal(matrices.query[:, 0, 0, 0], [1, 2, 10])
    assert head_matrices(params, "layers.2.attention").out.shape == (1, 1, 3, 2)
    params["layers_10"]["attention"]["query"]["kernel"] = jnp.ones((2, 2, 3))
    with pytest.raises(PretrainedError, match="different shapes"):
        head_matrices(params)


def test_names_that_do_not_exist(model):
    with pytest.raises(PretrainedError, match=r"'decoder.\*'; there are layers.0.attention, "):
        model.head_matrices("decoder.*")
    with pytest.raises(PretrainedError, match="no normalization 'norm' beside an attention"):
        model.head_matrices(fold="norm")


def test_folding_a_layer_normalization(tmp_path):
    """What it gives to the heads is its centered input, divided, times the folded matrix."""
    model = pretrained.load(write_golden("gpt2", tmp_path))
    tokens = golden_arrays("gpt2", "input")["tokens"]
    names = ["layers.0.residual", "layers.0.attention.query"]
    _, captured = capture(model, names)({"tokens": tokens})
    stream, query = (np.asarray(captured[name]) for name in names)
    layer = model.variables["params"]["layers_0"]
    kernel, bias = (np.asarray(layer["attention"]["query"][name]) for name in ("kernel", "bias"))
    bias = bias + np.einsum("f,fhd->hd", layer["attention_norm"]["bias"], kernel)
    # The mean that the matrix no longer reads makes no difference.
    normalized = stream / np.sqrt(stream.var(-1, keepdims=True) + 1e-5)
    folded = model.head_matrices(fold="attention_norm").query[0]
    expected = np.einsum("btf,hfd->bthd", normalized, folded) + bias
    np.testing.assert_allclose(query, expected, atol=2e-5)
