"""A PyTorch model as a JAX function."""

import contextlib
import inspect
import threading
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import jax
from jax import Array

from attn_jax.hooks.tap_attention import tap_attention
from attn_jax.interop.pytorch.attention import Run, register, running
from attn_jax.interop.pytorch.copying import copy_of, dispatches
from attn_jax.interop.pytorch.environment import new_environment
from attn_jax.interop.pytorch.packages import packages
from attn_jax.interop.pytorch.scopes import name_modules
from attn_jax.interop.pytorch.values import array_of, arrays_of, tensors_of

Variables = Mapping[str, Mapping[str, Array]]


class Bridged:
    """A PyTorch model as a function of arrays, with hook points; :func:`open_torch` makes it.

    Attributes:
        variables: The weights by their names in the model, `{"params": ..., "buffers": ...}`.
    """

    variables: dict[str, dict[str, Array]]

    def __init__(self, model: Any):
        self._env = new_environment()
        self._model = copy_of(model, register())
        self._signature = inspect.signature(self._model.forward)
        self.variables = {
            "params": {name: array_of(x) for name, x in self._model.named_parameters()},
            "buffers": {name: array_of(x) for name, x in self._model.named_buffers()},
        }
        name_modules(self._model, self._env)
        self._call = self._run if dispatches(model) else tap_attention(self._run)
        # While it runs, the copy holds the tensors of that run.
        self._lock = threading.RLock()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Return the output of the model; its weights become constants under `jax.jit`."""
        return self.apply(self.variables, *args, **kwargs)

    def apply(self, variables: Variables, *args: Any, **kwargs: Any) -> Any:
        """Return the output of the model with these weights.

        Args:
            variables: Of the structure of the attribute `variables`.
            args: What the model's `forward` takes, with arrays for tensors.
            kwargs: Likewise.

        Returns:
            An array where the model returns one tensor, a dictionary where it returns a
            `ModelOutput`, a tuple where it returns a tuple; without what is no tensor.

        Raises:
            ValueError: If `output_attentions` is asked for.
            NotImplementedError: If torchax has no translation of an operation.
        """
        if kwargs.get("output_attentions"):
            raise ValueError(
                "output_attentions=True is not available, as the weights are hook points: "
                'hooks.capture(bridged, "*.weights") returns them.'
            )
        return self._call(variables, args, kwargs)

    def _run(self, variables: Variables, args: Any, kwargs: Any) -> Any:
        env, torch = self._env, packages().torch
        bound = self._signature.bind(*args, **kwargs).arguments
        tensors = env.j2t_iso({**variables["params"], **variables["buffers"]})
        run = Run(env, has_positions=bound.get("position_ids") is not None)
        with self._lock, _quiet(), torch.no_grad(), running(run), self._seeded(), env:
            inputs = tensors_of((args, kwargs), env)
            try:
                output = torch.func.functional_call(self._model, tensors, *inputs)
            except packages().torchax.tensor.OperatorNotFound as error:
                raise NotImplementedError(
                    f"{type(self._model).__name__} cannot be opened: {error} in torchax."
                ) from error
            return arrays_of(output)

    @contextlib.contextmanager
    def _seeded(self) -> Iterator[None]:
        """Let whatever draws at random draw the same in each call, and keep no tracer after it."""
        with self._env.override_property(prng=jax.random.key(0)):
            yield


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Let torchax broadcast, and ask for 64 bits where JAX has 32."""
    with warnings.catch_warnings(), jax.numpy_rank_promotion("allow"):
        warnings.filterwarnings("ignore", "Explicitly requested dtype")
        yield


def open_torch(model: Any) -> Bridged:
    """Open a PyTorch model of transformers as a JAX function with hook points.

    The model runs on JAX arrays, by torchax. Its attention goes to `ops.attention`, through
    transformers' own AttentionInterface, so it has the hook points `query`, `key`, `value`,
    `scores`, `weights`, `summary` and `context` under the path of its module:
    `model.layers.3.self_attn.weights`. Masks that are causal, windowed or of padding are computed
    from positions, at any length. Attention that a model writes by itself is found as by
    :func:`attn_jax.hooks.tap_attention`. What a module returns is a hook point too:
    `model.layers.3.mlp.output`, or `output.0` and so on where it returns several arrays.

    Everything that takes a function with hook points takes this one, and it composes with
    `jax.jit`, `jax.grad` and `jax.vmap`::

        model = transformers.AutoModelForCausalLM.from_pretrained(folder)
        bridged = interop.open_torch(model)
        out, maps = capture(bridged, "*.weights")(input_ids)
        edits = {"model.layers.3.self_attn.weights": patch(0.0, heads=[2])}
        out = jax.jit(intervene(bridged.apply, edits))(bridged.variables, input_ids)

    The model itself stays as it is. A copy of its modules runs, in evaluation mode and without a
    cache; it shares the weights, and so does `bridged.variables` for 16 and 32-bit floats in the
    memory of the same device: what changes them in place, such as training, shows on both sides.
    Experts of a mixture are computed for all tokens at once (transformers' `batched_mm`).

    A query that may attend to nothing, as in padding on the left, gets zeros; PyTorch gives it
    equal weights. A branch on the values of arrays cannot be traced.

    Args:
        model: A model of transformers, or any module of PyTorch that computes attention.

    Returns:
        A function of what the model's `forward` takes.

    Raises:
        ImportError: If a package of the extra `torch` is missing, with the line that installs it.
        TypeError: If it is no module of PyTorch.
        ValueError: If it has no weights yet.
    """
    torch = packages().torch
    if not isinstance(model, torch.nn.Module):
        raise TypeError(
            f"model={type(model).__name__} is not a torch.nn.Module; a checkpoint is opened by "
            "transformers first, as in AutoModel.from_pretrained(folder)."
        )
    empty = [name for name, parameter in model.named_parameters() if parameter.is_meta]
    if empty:
        raise ValueError(
            f"{len(empty)} weights of {type(model).__name__} have no values, {empty[0]!r} the "
            "first; load the model without device_map and without torch.device('meta')."
        )
    return Bridged(model)
