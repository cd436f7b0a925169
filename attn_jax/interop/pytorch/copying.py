"""A copy of a PyTorch model that shares its weights and is set up for the bridge."""

import copy
from typing import Any

from attn_jax.interop.pytorch.packages import packages


def copy_of(model: Any, attention: str) -> Any:
    """Return a copy of a model in evaluation mode that shares the model's tensors.

    Args:
        model: Any module; nothing in it is changed.
        attention: The name of the attention function that the copy is to call.
    """
    shared = {id(tensor): tensor for tensor in (*model.parameters(), *model.buffers())}
    copied = copy.deepcopy(model, shared).eval()
    for module in copied.modules():
        _compute_parametrized(module)
        _make_buffers_of_tensors(module)
    for module in transformers_models(copied):
        _configure(module, attention)
    return copied


def transformers_models(model: Any) -> list[Any]:
    """Return the models of transformers in a model, itself included."""
    base = packages().transformers.PreTrainedModel
    return [module for module in model.modules() if isinstance(module, base)]


def dispatches(model: Any) -> bool:
    """Whether all attention of a model goes through the register of transformers."""
    models = transformers_models(model)
    is_whole = bool(models) and models[0] is model
    return is_whole and all(part._can_set_attn_implementation() for part in models)


def _configure(module: Any, attention: str) -> None:
    config = module.config
    config.use_cache = False
    if module._can_set_attn_implementation():
        config._attn_implementation_internal = attention
    if module._can_set_experts_implementation():
        config._experts_implementation_internal = "batched_mm"


def _compute_parametrized(module: Any) -> None:
    """Replace parametrizations, such as weight norm, by the parameters that they compute.

    `remove_parametrizations` would also change the class, which the original model shares.
    """
    torch = packages().torch
    if not torch.nn.utils.parametrize.is_parametrized(module):
        return
    values = {name: getattr(module, name).detach() for name in module.parametrizations}
    del module.parametrizations
    module.__class__ = type(module).__bases__[0]
    for name, value in values.items():
        module.register_parameter(name, torch.nn.Parameter(value, requires_grad=False))


def _make_buffers_of_tensors(module: Any) -> None:
    """Make buffers of plain attributes that are tensors, which would not be passed in otherwise."""
    tensors = {
        name: value
        for name, value in vars(module).items()
        if isinstance(value, packages().torch.Tensor)
    }
    for name, value in tensors.items():
        delattr(module, name)
        module.register_buffer(name, value, persistent=False)
