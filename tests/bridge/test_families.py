"""Each family, opened as a JAX function, beside PyTorch in eager mode."""

import functools
import importlib.util
from collections.abc import Mapping

import jax
import numpy as np
import pytest

if importlib.util.find_spec("torchax") is None:
    pytest.skip("left to `make bridge`, whose environment has torchax", allow_module_level=True)

import torch
from bridge_families import FAMILIES, HEAD_DIM
from bridge_report import record

from attn_jax import interop
from attn_jax.hooks import activation_grads, capture, intervene, patch
from attn_jax.interop.pytorch.copying import dispatches

HEAD = 1


class Case:
    """A model with random weights, and what PyTorch computes."""

    def __init__(self, name, seed):
        self.family = FAMILIES[name]
        self.model = self.family.model(seed)
        rng = np.random.default_rng(seed)
        self.inputs = self.family.inputs(rng)
        self.tensors = {key: torch.from_numpy(x) for key, x in self.inputs.items()}
        self.bridged = interop.open_torch(self.model)
        result = self.model(**self.tensors, output_attentions=True)
        fields = dict(flat(result))
        self.maps = {
            f"{module}.weights": fields[f"{field}.{layer}"]
            for module, (field, layer) in self.family.places.items()
        }
        self.outputs = {key: x for key, x in fields.items() if "attentions" not in key}
        self.site = next(iter(self.maps))
        self.main = "logits" if "logits" in self.outputs else "last_hidden_state"
        self.main = self.main if self.main in self.outputs else "text_embeds"
        self.factors = rng.normal(size=self.outputs[self.main].shape).astype(np.float32)


def flat(output, path=()):
    """Yield the arrays of an output by their paths, written with dots."""
    if isinstance(output, Mapping | tuple):
        items = output.items() if isinstance(output, Mapping) else enumerate(output)
        for key, value in items:
            yield from flat(value, (*path, str(key)))
    elif isinstance(output, torch.Tensor | jax.Array):
        yield ".".join(path), output


def close(value, truth, tolerance):
    value, truth = np.asarray(value), truth.detach().numpy()
    np.testing.assert_allclose(
        value.reshape(truth.shape), truth, rtol=0, atol=tolerance * max(1.0, np.abs(truth).max())
    )


@functools.cache
def case(name):
    seed = int(np.random.default_rng().integers(2**31))
    print(f"seed {seed}")
    return Case(name, seed)


@pytest.mark.parametrize("name", FAMILIES)
def test_a_family_computes_what_pytorch_does(name):
    this = case(name)
    apply = jax.jit(this.bridged.apply)  # traced once, for all that follows

    def run(variables, inputs):
        def loss(variables):
            return (dict(flat(apply(variables, **inputs)))[this.main] * this.factors).sum()

        out, maps = capture(apply, "*.weights*")(variables, **inputs)
        edited = None
        if this.family.projection:
            edits = {this.site: patch(0.0, heads=[HEAD])}
            edited = intervene(apply, edits)(variables, **inputs)
        return out, maps, edited, activation_grads(loss, "*.weights")(variables)

    out, maps, edited, gradients = jax.jit(run)(this.bridged.variables, this.inputs)
    with record(name, "output"):
        assert dispatches(this.model) == this.family.is_routed
        fields = dict(flat(out))
        assert this.main in fields
        for key, value in fields.items():
            close(value, this.outputs[key], 2e-5)
    with record(name, "maps"):
        assert maps.keys() == this.maps.keys()
        for key, truth in this.maps.items():
            close(maps[key], truth, 2e-6)
    if edited is not None:
        with record(name, "edited"):
            truth = silenced(this)[this.main]
            close(dict(flat(edited))[this.main], truth, 2e-5)
            # An edit that does nothing would equal nothing.
            assert (truth - this.outputs[this.main]).abs().max() > 1e-3
    if this.family.has_gradients:
        with record(name, "gradient"):
            compare_gradients(this, gradients)


def compare_gradients(this, gradients):
    loss = (this.outputs[this.main] * torch.from_numpy(this.factors)).sum()
    truths = torch.autograd.grad(loss, list(this.maps.values()), allow_unused=True)
    # The output of CLIP that is compared does not depend on its other tower.
    assert any(truth is not None for truth in truths)
    for (key, weights), truth in zip(this.maps.items(), truths, strict=True):
        if truth is not None:
            # Times the weights: what is hidden has a gradient in PyTorch, to no effect.
            weighted = np.asarray(gradients[key]).reshape(weights.shape) * weights.detach().numpy()
            close(weighted, truth * weights, 1e-4)


def silenced(this):
    """Return the outputs of the model with the context of one head set to zero by hand."""

    def silence(_, inputs):
        context = inputs[0].clone()
        context[..., HEAD * HEAD_DIM : (HEAD + 1) * HEAD_DIM] = 0
        return (context, *inputs[1:])

    projection = this.model.get_submodule(this.family.projection)
    handle = projection.register_forward_pre_hook(silence)
    try:
        return dict(flat(this.model(**this.tensors)))
    finally:
        handle.remove()
