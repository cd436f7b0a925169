"""Attention as PyTorch models return it, in the viewer; `make parity` runs it."""

import numpy as np
import pytest

from attn_jax import plot

torch = pytest.importorskip(
    "torch", reason="PyTorch is not in this environment; `make parity` has it"
)
transformers = pytest.importorskip("transformers", reason="`make parity` has transformers")

TOKENS = list("abcde")


def attention(*shape, requires_grad=False):
    generator = torch.Generator().manual_seed(len(shape))
    weights = torch.rand(shape, generator=generator).softmax(-1)
    return weights.requires_grad_(requires_grad)


def maps_of(view):
    return np.stack([layer.weights for layer in view._content.layers])


@pytest.mark.parametrize("requires_grad", [False, True])
def test_a_tuple_of_layers_opens_as_it_is(requires_grad):
    layers = tuple(attention(1, 3, 5, 5, requires_grad=requires_grad) for _ in range(7))
    view = plot.viewer(layers, tokens=TOKENS)
    assert view.html()
    expected = torch.cat(layers).detach().numpy()
    np.testing.assert_array_equal(maps_of(view), expected)


def test_bfloat16_keeps_its_values():
    weights = attention(3, 5, 5).to(torch.bfloat16)
    view = plot.viewer(weights, tokens=list(torch.arange(5)))
    np.testing.assert_array_equal(maps_of(view)[0], weights.float().numpy())
    assert view.select(query="4") is not None


def test_an_example_of_a_batch_is_that_one():
    layers = tuple(attention(2, 3, 5, 5) for _ in range(7))
    view = plot.viewer(layers, tokens=TOKENS, example=1)
    np.testing.assert_array_equal(maps_of(view)[2], layers[2][1].numpy())


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ((None,) * 4, r"weights\[0\] is None.*attn_implementation='eager'"),
        (tuple(attention(2, 3, 5, 5) for _ in range(7)), "holds 2 examples.*example=0 to 1"),
    ],
)
def test_what_cannot_be_one_view_says_the_way_out(weights, message):
    with pytest.raises(ValueError, match=message):
        plot.viewer(weights, tokens=TOKENS)


def test_layers_of_unequal_heads_are_shown_as_they_are():
    view = plot.viewer((attention(1, 3, 5, 5), None, attention(1, 2, 5, 5)), tokens=TOKENS)
    assert [layer.weights.shape for layer in view._content.layers] == [(3, 5, 5), (2, 5, 5)]
    assert "left out: layer 1 (None)" in view.sources


def test_the_outputs_of_a_model_and_of_its_generation_open():
    config = transformers.GPT2Config(
        n_layer=2,
        n_head=2,
        n_embd=8,
        vocab_size=11,
        bos_token_id=0,
        eos_token_id=0,
        attn_implementation="eager",
    )
    model = transformers.GPT2LMHeadModel(config).eval()
    tokens = torch.arange(1, 5)[None]
    outputs = model(tokens, output_attentions=True)
    view = plot.viewer(outputs, tokens=["The", "Ġcat", "s", "."])
    np.testing.assert_array_equal(maps_of(view), torch.cat(outputs.attentions).detach().numpy())
    assert any(line.startswith("left out: logits") for line in view.sources)
    written = model.generate(
        tokens,
        max_new_tokens=3,
        do_sample=False,
        pad_token_id=0,
        eos_token_id=None,
        output_attentions=True,
        return_dict_in_generate=True,
    )
    joined = plot.viewer(written, tokens=range(6))._content.layers[1].weights
    again = model(written.sequences[:, :6], output_attentions=True).attentions[1]
    np.testing.assert_allclose(joined, again[0].detach().numpy(), atol=1e-5)
