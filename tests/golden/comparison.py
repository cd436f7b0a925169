"""The answer of either side, and its gradient with respect to every input of floats."""

import numpy as np


def is_float(array):
    return np.issubdtype(array.dtype, np.floating)


def in_jax(function, arrays, options, toward):
    """The output, and the gradients of its inner product with `toward`."""
    import jax
    import jax.numpy as jnp

    given = {name: jnp.asarray(x) for name, x in arrays.items()}
    varied = {name: x for name, x in given.items() if is_float(arrays[name])}

    def total(varied):
        output = function(**given | varied, **options)
        return (output * toward).sum(), output

    gradients, output = jax.jit(jax.grad(total, has_aux=True))(varied)
    return np.asarray(output), {name: np.asarray(g) for name, g in gradients.items()}


def in_torch(function, arrays, options, toward):
    """The same of a function in PyTorch; `toward` is a function of the output's shape."""
    import torch

    given = {
        name: torch.tensor(x).requires_grad_(is_float(x)) if is_float(x) else torch.tensor(x)
        for name, x in arrays.items()
    }
    output = function(**given, **options)
    toward = toward(tuple(output.shape))
    (output * torch.tensor(toward)).sum().backward()
    gradients = {name: x.grad.numpy() for name, x in given.items() if x.grad is not None}
    return output.detach().numpy(), gradients, toward
