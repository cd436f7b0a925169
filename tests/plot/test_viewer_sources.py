"""Containers of other libraries, through stand-ins of the same form: each opens as what it is."""

from collections import OrderedDict
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen, nnx

from attn_jax import nn, plot
from attn_jax.plot.viewer.sources import read_sources

RNG = np.random.default_rng(0)


def maps(*shape):
    return RNG.dirichlet(np.ones(shape[-1]), shape[:-1]).astype(np.float32)


def names(view):
    return [layer.name for layer in view._content.layers]


class ModelOutput(OrderedDict):
    """As in transformers: a dictionary without the fields that are None, which are attributes."""

    attentions = encoder_attentions = decoder_attentions = cross_attentions = None

    def __init__(self, **fields):
        super().__init__(fields)
        for name, value in fields.items():
            setattr(self, name, value)


class DataArray:
    """As in xarray: named dimensions, some with coordinates."""

    def __init__(self, values, dims, coords):
        self.values, self.dims = values, dims
        self.coords = {name: SimpleNamespace(values=np.array(c)) for name, c in coords.items()}


def test_a_tuple_with_layers_of_none_keeps_the_numbers_of_the_others():
    first, third = maps(1, 3, 5, 5), maps(1, 2, 5, 5)
    view = plot.viewer((first, None, third), tokens="abcde")
    assert names(view) == ["layer 0", "layer 2"]
    np.testing.assert_array_equal(view._content.layers[1].weights, third[0])
    assert view.sources[-1] == "left out: layer 1 (None)"
    assert "layer 2 of 3" in view.sources[1]


@pytest.mark.parametrize("kind", [tuple, list])
@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16, jnp.float32])
def test_a_tuple_is_one_layer_each_of_any_type(kind, dtype):
    layers = [maps(2, 3, 5, 5) for _ in range(4)]
    view = plot.viewer(kind(jnp.asarray(layer, dtype) for layer in layers), example=1)
    shown = np.stack([layer.weights for layer in view._content.layers])
    np.testing.assert_allclose(shown, np.stack(layers)[:, 1], rtol=1e-2)
    assert shown.dtype == np.float32


def test_outputs_of_a_model_are_read_and_the_rest_is_named():
    layer = maps(1, 3, 5, 5)
    view = plot.viewer(ModelOutput(logits=np.zeros((1, 5, 9)), attentions=(layer, layer)))
    assert names(view) == ["layers.0", "layers.1"]
    assert view.sources[-1] == "left out: logits (not weights)"
    empty = ModelOutput(attentions=(layer,), cross_attentions=((), ()), decoder_attentions=())
    assert names(plot.viewer(empty)) == ["layers.0"]
    both = ModelOutput(
        encoder_attentions=(layer,),
        decoder_attentions=(layer,),
        cross_attentions=(maps(1, 3, 5, 7),),
    )
    expected = ["encoder.layers.0", "decoder.layers.0", "decoder.layers.0.cross"]
    assert names(plot.viewer(both)) == expected
    alone = SimpleNamespace(attentions=(layer,), hidden_states=None)
    assert names(plot.viewer(alone)) == ["layers.0"]
    clip = OrderedDict(
        logits_per_image=np.zeros((1, 1)),
        text_model_output=ModelOutput(attentions=(layer,)),
        vision_model_output=ModelOutput(attentions=(maps(1, 2, 4, 4),)),
    )
    assert names(plot.viewer(clip)) == ["text.layers.0", "vision.layers.0"]


@pytest.mark.parametrize(
    "outputs", [ModelOutput(logits=np.zeros((1, 5, 9))), SimpleNamespace(attentions=None)]
)
def test_outputs_without_weights_say_how_to_ask_for_them(outputs):
    with pytest.raises(ValueError, match=r"attentions'? is None.*output_attentions=True"):
        plot.viewer(outputs)


def test_the_steps_of_a_generation_are_the_rows_of_one_map():
    prompt = [maps(1, 2, 4, 4) for _ in range(3)]
    steps = [[maps(1, 2, 1, 5 + step) for _ in range(3)] for step in range(2)]
    view = plot.viewer((tuple(prompt), *map(tuple, steps)), tokens="abcdef")
    (layer, *_) = view._content.layers
    assert (len(names(view)), layer.weights.shape) == (3, (2, 6, 6))
    np.testing.assert_array_equal(layer.weights[:, :4, :4], prompt[0][0])
    np.testing.assert_array_equal(layer.weights[:, 4, :5], steps[0][0][0, :, 0])
    np.testing.assert_array_equal(layer.weights[:, :5, 5], 0)
    assert "3 steps of generation, a row each" in view.sources[0]


def test_without_the_prompt_the_queries_are_the_last_tokens():
    steps = tuple((maps(1, 2, 1, 5 + step),) for step in range(3))
    view = plot.viewer(steps, tokens="abcdefg")
    assert view._content.labels["layer 0"] == (list("efg"), list("abcdefg"))
    cross = plot.viewer({"cross_attentions": tuple((maps(1, 2, 1, 5),) for _ in range(3))})
    assert cross._content.layers[0].weights.shape == (2, 3, 5)


class Stock(linen.Module):
    @linen.compact
    def __call__(self, x):
        for _ in range(2):
            x = linen.MultiHeadDotProductAttention(num_heads=2, name=None)(x, sow_weights=True)
        return x


def test_intermediates_of_stock_flax_open_by_name():
    x = jnp.ones((1, 5, 8))
    model = Stock()
    variables = {"params": model.init(jax.random.key(0), x)["params"]}
    _, state = model.apply(variables, x, mutable=["intermediates"])
    expected = [f"MultiHeadDotProductAttention.{i}.attention_weights" for i in range(2)]
    assert names(plot.viewer(state)) == expected
    assert names(plot.viewer(state["intermediates"], tokens="abcde")) == expected


def test_intermediates_of_our_modules_open_by_name():
    x = jnp.ones((1, 5, 8))
    model = nn.MultiHeadAttention(num_heads=2)
    variables = {"params": model.init(jax.random.key(0), x)["params"]}
    _, state = model.apply(variables, x, mutable=["intermediates"])
    assert names(plot.viewer(state)) == ["weights"]


def test_intermediates_of_nnx_open_by_name():
    attention = nnx.MultiHeadAttention(num_heads=2, in_features=8, decode=False, rngs=nnx.Rngs(0))
    _, state = nnx.capture(attention, nnx.Intermediate)(jnp.ones((1, 5, 8)), sow_weights=True)
    assert names(plot.viewer(state)) == ["attention_weights"]


def test_a_capture_of_everything_shows_its_weights():
    captured = {
        "layers.0.attention.weights": maps(1, 2, 5, 5),
        "layers.0.attention.scores": np.ones((1, 2, 5, 5)),
        "layers.0.mlp": np.ones((1, 5, 8)),
    }
    view = plot.viewer(captured)
    assert names(view) == ["layers.0.attention.weights"]
    assert view.sources[1:] == [
        "beside the maps: layers.0.attention.scores",
        "beside the maps: layers.0.mlp",
    ]
    with pytest.raises(ValueError, match=r"scores\[0, 0, :\] sums to 5"):
        plot.viewer({"scores": np.ones((1, 2, 5, 5))})


def test_named_dimensions_are_axes_and_coordinates_are_labels():
    weights = maps(4, 3, 2)
    array = DataArray(weights, ("key", "head", "query"), {"key": list("abcd"), "query": ["x", "y"]})
    view = plot.viewer(
        DataArray(maps(2, 3, 4).transpose(2, 1, 0), array.dims, {"key": list("abcd")})
    )
    assert repr(view).startswith("Viewer('Attention', 3 maps, axes='khq'")
    assert view._content.labels["layer 0"] == (None, list("abcd"))
    renamed = plot.viewer(view._content.layers[0].weights, axes="hqk")
    np.testing.assert_array_equal(
        renamed._content.layers[0].weights, view._content.layers[0].weights
    )
    other = DataArray(maps(2, 3, 4), ("x", "query", "key"), {})
    assert read_sources(other).items[0].axes is None


@pytest.mark.parametrize(
    ("prefix", "count", "labels"),
    [
        (["[CLS]", "register"], 2, ["[CLS]", "register", "row 0, column 0"]),
        ("[CLS]", 1, ["[CLS]", "1", "2"]),
        (("[CLS]",), 1, ["[CLS]", "1", "2"]),
    ],
)
def test_prefix_tokens_take_names(prefix, count, labels):
    side = {"images": np.zeros((4, 4)), "grid": (2, 2)} if count == 2 else {}
    view = plot.viewer(maps(6, 6), prefix_tokens=prefix, **side)
    assert view._content.prefix_tokens == count
    assert view._content.labels["layer 0"][1][:3] == labels
    assert view.select(query="[CLS]")._state["query"] == 0


def test_more_names_than_tokens_are_refused():
    with pytest.raises(ValueError, match="names 2 tokens, but 'layer 0' has 2 keys"):
        plot.viewer(maps(2, 2), prefix_tokens=["a", "b"])
