"""Named scopes and hook points for the modules of a PyTorch model."""

import contextvars
import functools
from typing import Any

import jax

from attn_jax.hooks.tap import tap
from attn_jax.interop.pytorch.packages import packages

Path = tuple[str, ...]

_around: contextvars.ContextVar[Path] = contextvars.ContextVar("around", default=())


def name_modules(model: Any, env: Any) -> None:
    """Let each module run in the named scope of its path, and tap what it returns.

    Args:
        model: A model that nobody else uses; the method `forward` of each module is replaced.
        env: The environment that its tensors belong to.
    """
    paths: dict[Any, list[Path]] = {}
    for name, module in model.named_modules(remove_duplicate=False):
        paths.setdefault(module, []).append(tuple(name.split(".")) if name else ())
    softmax = packages().torch.nn.Softmax
    for module, places in paths.items():
        # A tap on weights would tell `tap_attention` that they have hook points already.
        is_tapped = not isinstance(module, softmax)
        module.forward = _scoped(module.forward, places, env if is_tapped else None)


def _scoped(forward: Any, places: list[Path], env: Any) -> Any:
    @functools.wraps(forward)
    def scoped(*args, **kwargs):
        around = _around.get()
        inside = (path for path in places if path[: len(around)] == around)
        path = next(inside, places[0])
        token = _around.set(path)
        try:
            with _scope(path[len(around) :] if path[: len(around)] == around else path):
                output = forward(*args, **kwargs)
                return output if env is None else _tapped(output, (args, kwargs), env)
        finally:
            _around.reset(token)

    return scoped


def _scope(path: Path) -> Any:
    # The class of the root, which names leave out, as they do with Linen's.
    return jax.named_scope("/".join(path) if path else "Model")


def _tapped(output: Any, inputs: Any, env: Any) -> Any:
    """Tap each tensor that a module made: as `output`, or by its place if it made several.

    What comes out as it went in, as from dropout in evaluation, is not tapped.
    """
    pytree, tensors = packages().torch.utils._pytree, packages().torch.Tensor
    # Not views, nor masks, which this would compute.
    plain = packages().torchax.tensor.Tensor
    given = [leaf.jax() for leaf in pytree.tree_leaves(inputs) if type(leaf) is plain]
    places, structure = pytree.tree_flatten_with_path(output)
    made = {}
    for path, leaf in places:
        array = leaf.jax() if isinstance(leaf, tensors) else None
        if array is not None and not any(array is other for other in given):
            made[path] = array
    taps = {
        path: env.j2t_iso(tap("output" if len(made) == 1 else _place(path), array))
        for path, array in made.items()
    }
    return pytree.tree_unflatten([taps.get(path, leaf) for path, leaf in places], structure)


def _place(path: Any) -> str:
    steps = (getattr(step, "key", getattr(step, "idx", step)) for step in path)
    return ".".join(("output", *map(str, steps)))
