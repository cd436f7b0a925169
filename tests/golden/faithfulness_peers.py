"""The same model in PyTorch, with a gate for each key, and what captum says of the gates.

A gate scales the weights that a key gets in every layer, from every head and query: 1 leaves it
as it is, 0 takes it away. Integrated gradients, the gradient times the gate, and ablation of the
gates are then what this library says of the keys.
"""

import torch
from captum.attr import FeatureAblation, InputXGradient, IntegratedGradients
from faithfulness_cases import STEPS


def answer(gates, renormalize, x, mixes, out, mask):
    for mix in mixes:
        scores = torch.einsum("nqhd,hde,nkhe->nhqk", x, mix, x)
        scores = scores.masked_fill(~mask[:, None, None], float("-inf"))
        weights = torch.softmax(scores, -1) * gates[:, None, None]
        if renormalize:
            total = weights.sum(-1, keepdim=True)
            weights = weights / torch.where(total == 0, 1.0, total)
        x = x + torch.einsum("nhqk,nkhd->nqhd", weights, x)
    there = mask[..., None, None]
    pooled = (x * there).sum(1) / there.sum(1)
    return torch.softmax(torch.einsum("nhd,hdc->nc", pooled, out), -1)


def theirs(arrays):
    """Each attribution, `(n, t)`, by its name; in float64."""
    given = {name: torch.tensor(array) for name, array in arrays.items()}
    x, mixes, out = (given[name].double() for name in ("x", "mixes", "out"))
    mask, target = given["mask"], given["target"]

    def asked(kind, renormalize, **options):
        # Integrated gradients repeat the batch for each step; what is no batch stays outside.
        def of(gates, x, mask):
            return answer(gates, renormalize, x, mixes, out, mask)

        gates = torch.ones(mask.shape, dtype=torch.float64, requires_grad=True)
        rest = {"target": target, "additional_forward_args": (x, mask)}
        found = kind(of).attribute(gates, **rest, **options)
        return torch.where(mask, found, 0).detach().numpy()

    midpoints = {"method": "riemann_middle", "n_steps": STEPS}
    found = {"integrated": asked(IntegratedGradients, False, **midpoints)}
    for name, renormalize in (("raw", False), ("renormalized", True)):
        found[f"gradient_{name}"] = asked(InputXGradient, renormalize)
        found[f"left_out_{name}"] = asked(FeatureAblation, renormalize)
    return found
