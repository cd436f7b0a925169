"""A PyTorch model as a JAX function: its names, weights, transformations, masks and limits."""

import importlib.util
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

if importlib.util.find_spec("torchax") is None:
    pytest.skip("left to `make bridge`, whose environment has torchax", allow_module_level=True)

import torch
import transformers
from bridge_families import FAMILIES

from attn_jax import interop, ops
from attn_jax.hooks import activation_grads, capture, hook_points, intervene, patch

IDS = np.random.default_rng(0).integers(0, 90, (2, 7))
PROMPTS = {"input_ids": IDS}


@pytest.fixture(scope="module")
def llama():
    return FAMILIES["Llama"].model(0)


@pytest.fixture(scope="module")
def bridged(llama):
    return interop.open_torch(llama)


def in_torch(model, **inputs):
    with torch.no_grad():
        return model(**{name: torch.as_tensor(x) for name, x in inputs.items()})


def close(value, truth, tolerance=2e-5):
    np.testing.assert_allclose(np.asarray(value), truth.detach().numpy(), rtol=0, atol=tolerance)


def test_names_are_the_paths_of_the_modules(llama, bridged):
    names = {point.name for point in hook_points(bridged)(IDS)}
    attention = {f"model.layers.1.self_attn.{leaf}" for leaf in ("query", "scores", "weights")}
    assert names >= attention | {"output", "model.layers.0.mlp.down_proj.output"}
    modules = {name for name, _ in llama.named_modules()}
    called = {re.sub(r"\.?output(\.\d)?$", "", name) for name in names if "output" in name}
    assert called <= modules
    assert modules - called == {"model.layers"}  # a list
    assert {"model.rotary_emb.output.0", "model.rotary_emb.output.1"} <= names


def test_outputs_of_modules_are_read_and_edited(llama, bridged):
    kept = {}

    def double(module, inputs, output):
        kept["plain"] = output
        return 2 * output

    handle = llama.model.layers[0].mlp.register_forward_hook(double)
    truth = in_torch(llama, **PROMPTS).logits
    handle.remove()
    name = "model.layers.0.mlp.output"
    _, captured = jax.jit(capture(bridged.apply, name))(bridged.variables, IDS)
    close(captured[name], kept["plain"])
    edits = {name: lambda x, site: 2 * x}
    out = jax.jit(intervene(bridged.apply, edits))(bridged.variables, IDS)
    close(out["logits"], truth)


def test_weights_are_those_of_the_model_without_a_copy(llama, bridged):
    pointers = {name: x.data_ptr() for name, x in llama.named_parameters()}
    params = bridged.variables["params"]
    assert {name: x.unsafe_buffer_pointer() for name, x in params.items()} == pointers
    for name, x in llama.named_parameters():
        np.testing.assert_array_equal(params[name], x.detach().numpy())


def test_gradients_by_the_weights_are_those_of_pytorch(llama, bridged):
    def loss(params):
        variables = {**bridged.variables, "params": params}
        return (bridged.apply(variables, IDS)["logits"] ** 2).mean()

    gradients = jax.jit(jax.grad(loss))(bridged.variables["params"])
    parameters = dict(llama.named_parameters())
    truth = (llama(torch.as_tensor(IDS)).logits ** 2).mean()
    truths = torch.autograd.grad(truth, list(parameters.values()))
    for name, expected in zip(parameters, truths, strict=True):
        close(gradients[name], expected)


def test_vmap_over_inputs_and_over_weights(llama, bridged):
    stack = np.stack([IDS, IDS[::-1], IDS[:, ::-1]])
    fn = capture(bridged.apply, "*.0.*.weights")
    out, maps = jax.jit(jax.vmap(fn, in_axes=(None, 0)))(bridged.variables, stack)
    for i, ids in enumerate(stack):
        close(out["logits"][i], in_torch(llama, input_ids=ids.copy()).logits)
    assert maps["model.layers.0.self_attn.weights"].shape == (3, 2, 4, 7, 7)
    halves = jax.tree.map(lambda x: jnp.stack([x, 0.5 * x]), bridged.variables["params"])
    both = jax.vmap(lambda p: bridged.apply({**bridged.variables, "params": p}, IDS)["logits"])
    close(jax.jit(both)(halves)[0], in_torch(llama, **PROMPTS).logits)


def test_the_model_and_the_packages_stay_as_they_are():
    model = FAMILIES["wav2vec 2.0"].model(0).train()
    inputs = FAMILIES["wav2vec 2.0"].inputs(np.random.default_rng(0))
    registered = set(transformers.AttentionInterface._global_mapping) - {"attn_jax"}
    before = model.config.to_dict(), {n: (type(m), *vars(m)) for n, m in model.named_modules()}
    state = {name: x.clone() for name, x in model.state_dict().items()}
    fast, options = torch.backends.mha.get_fastpath_enabled(), dict(jax.config.values)
    opened = interop.open_torch(model)
    out = jax.jit(opened.apply)(opened.variables, **inputs)["last_hidden_state"]
    after = model.config.to_dict(), {n: (type(m), *vars(m)) for n, m in model.named_modules()}
    assert after == before
    assert model.training
    assert all(torch.equal(x, state[name]) for name, x in model.state_dict().items())
    assert set(transformers.AttentionInterface._global_mapping) - {"attn_jax"} == registered
    assert torch.backends.mha.get_fastpath_enabled() == fast
    assert dict(jax.config.values) == options
    assert torch.ones(2).sum().item() == 2
    # And it was opened in evaluation mode.
    close(out, in_torch(model.eval(), **inputs).last_hidden_state)


def test_a_model_outlives_an_error(llama, bridged):
    with pytest.raises(Exception, match=r"shape|size|incompatible"):
        bridged.apply(bridged.variables, input_ids=IDS, attention_mask=np.ones((2, 3, 4, 5)))
    close(bridged(IDS)["logits"], in_torch(llama, **PROMPTS).logits)
    assert in_torch(llama, **PROMPTS).logits.isfinite().all()


def test_padding_on_the_left(llama, bridged):
    mask = np.array([[0, 0, 1, 1, 1, 1, 1], [1] * 7])
    out, maps = jax.jit(capture(bridged.apply, "*.weights"))(
        bridged.variables, IDS, attention_mask=mask
    )
    truth = in_torch(llama, input_ids=IDS, attention_mask=mask).logits
    close(out["logits"][0, 2:], truth[0, 2:])
    close(out["logits"][1], truth[1])
    for weights in maps.values():
        assert not weights[0, :, :2].any()


def test_positions_that_start_anew_mark_segments(llama, bridged):
    positions = np.array([[0, 1, 2, 0, 1, 2, 3], [0, 1, 2, 3, 4, 5, 6]])
    out, maps = jax.jit(capture(bridged.apply, "*.0.*.weights"))(
        bridged.variables, IDS, position_ids=positions
    )
    truth = in_torch(llama, input_ids=IDS, position_ids=positions, use_cache=torch.tensor(False))
    close(out["logits"], truth.logits)
    weights = maps["model.layers.0.self_attn.weights"]
    assert not weights[0, :, 3:, :3].any()
    assert weights[1, :, 3:, :3].all()


def test_a_mask_of_the_callers_own(llama, bridged):
    mask = np.random.default_rng(1).random((2, 1, 7, 7)) < 0.5
    mask |= np.eye(7, dtype=bool)
    truth = in_torch(llama, input_ids=IDS, attention_mask=np.where(mask, 0.0, -1e30).astype("f"))
    for given in (mask, np.where(mask, 0.0, -1e30).astype("f")):
        out = jax.jit(bridged.apply)(bridged.variables, IDS, attention_mask=given)
        close(out["logits"], truth.logits)


@pytest.mark.parametrize("name", ["Llama", "Mistral"])
def test_long_inputs_have_no_array_of_queries_and_keys(name):
    length = 4096
    opened = interop.open_torch(FAMILIES[name].model(0))
    ids = jax.ShapeDtypeStruct((1, length), jnp.int32)
    mask = jax.ShapeDtypeStruct((1, length), jnp.bool_)
    summary = {"*.summary": ops.Summary(entropy=True, received=True)}
    fn = jax.jit(lambda v, x, m: capture(opened.apply, summary)(v, x, attention_mask=m))
    lowered = fn.lower(opened.variables, ids, mask)
    compiled = lowered.compile()
    for program in (lowered.as_text(), compiled.as_text()):
        assert re.search(rf"\b{length}\b", program)
        assert not re.search(rf"{length}[x,]{length}\b", program)
    # As much as the map of a single head, and there are eight heads. The tests' settings of XLA
    # fuse little; with the usual ones it is 12 MiB.
    assert compiled.memory_analysis().temp_size_in_bytes < 64 * 2**20


def test_summaries_are_those_of_the_maps(llama, bridged):
    reducers = {"*.summary": ops.Summary(entropy=True, received=True)}
    _, seen = jax.jit(capture(bridged.apply, reducers))(bridged.variables, IDS)
    truth = llama(torch.as_tensor(IDS), output_attentions=True).attentions
    for layer, weights in enumerate(truth):
        summary = seen[f"model.layers.{layer}.self_attn.summary"]
        close(summary.entropy, -torch.special.xlogy(weights, weights).sum(-1))
        close(summary.received, weights.sum(-2))


def test_a_module_of_pytorch_itself():
    torch.manual_seed(0)
    layer = torch.nn.TransformerEncoderLayer(16, 2, 24, batch_first=True).eval()
    x = np.random.default_rng(0).normal(size=(2, 5, 16)).astype(np.float32)
    opened = interop.open_torch(layer)
    out, maps = jax.jit(capture(opened.apply, "*weights"))(opened.variables, x)
    close(out, in_torch(layer, src=x))
    tensor = torch.as_tensor(x)
    truth = layer.self_attn(tensor, tensor, tensor, average_attn_weights=False)[1]
    (weights,) = maps.values()
    close(weights.reshape(truth.shape), truth, 2e-6)


def test_measures_take_it(bridged):
    grads = activation_grads(lambda v: bridged.apply(v, IDS)["logits"].sum(), "*.1.*.weights")
    (value,) = jax.jit(grads)(bridged.variables).values()
    assert value.shape == (2, 4, 7, 7)
    assert jnp.abs(value).max() > 1e-3
    silent = intervene(bridged, {"*.weights": patch(0.0, heads=[0, 1, 2, 3])})(IDS)
    assert jnp.abs(silent["logits"] - bridged(IDS)["logits"]).max() > 1e-3


def test_what_is_no_module_is_refused():
    with pytest.raises(TypeError, match=r"model=str is not a torch\.nn\.Module"):
        interop.open_torch("gpt2")


def test_a_model_without_weights_is_refused():
    with torch.device("meta"):
        model = transformers.LlamaForCausalLM(transformers.LlamaConfig(**FAMILIES["Llama"].config))
    with pytest.raises(ValueError, match=r"weights of LlamaForCausalLM have no values, 'model\."):
        interop.open_torch(model)


def test_weights_are_hook_points_and_not_outputs(bridged):
    with pytest.raises(ValueError, match=r"output_attentions=True is not available"):
        bridged(IDS, output_attentions=True)
