"""The PyTorch side of the benchmark `attention`, run by the peers' Python."""

import functools
import os
import resource
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch  # pyright: ignore[reportMissingImports]
from numpy.typing import NDArray
from torch.nn.attention import flex_attention as flex  # pyright: ignore[reportMissingImports]
from torch.nn.functional import (  # pyright: ignore[reportMissingImports]
    scaled_dot_product_attention,
)

from experiments.benchmarks.attention_cases import MOST_BYTES, Case
from experiments.benchmarks.attention_worker import Call, serve

Visible = Callable[..., Any]


def visible(case: Case) -> Visible:
    """Return the mask function of a case, as `flex_attention` takes it."""
    masks: dict[str, Visible] = {
        "full": lambda batch, head, query, key: query >= 0,
        "causal": lambda batch, head, query, key: query >= key,
        "window": lambda batch, head, query, key: (query >= key) & (query - key < case.window),
    }
    return masks[case.mask]


def attention(case: Case, tokens: int) -> Callable[..., Any]:
    """Return the function of a case; its mask is made here, beforehand."""
    if case.contender == "PyTorch flex":
        # Without blocks it holds whole rows of scores, so it gets them even without a mask. Made
        # uncompiled, they would need the whole mask.
        make = torch.compile(flex.create_block_mask)
        blocks = make(visible(case), None, None, tokens, tokens, device="cpu")
        compiled = torch.compile(flex.flex_attention, dynamic=False)
        return functools.partial(compiled, block_mask=blocks)
    if case.mask == "window":
        positions = torch.arange(tokens)
        mask = visible(case)(None, None, positions[:, None], positions)
        return functools.partial(scaled_dot_product_attention, attn_mask=mask)
    return functools.partial(scaled_dot_product_attention, is_causal=case.mask == "causal")


def prepare(case: Case, arrays: NDArray[np.float32]) -> tuple[Call, dict[str, Any]]:
    """Make the call of a case."""
    *given, cotangent = (torch.from_numpy(array).transpose(1, 2).contiguous() for array in arrays)
    attend = attention(case, arrays.shape[2])

    def forward() -> Sequence[Any]:
        with torch.no_grad():
            return [attend(*given).transpose(1, 2)]

    def gradient() -> Sequence[Any]:
        context = attend(*given)
        slopes = torch.autograd.grad(context, given, cotangent)
        return [x.detach().transpose(1, 2) for x in (context, slopes[0])]

    if case.passes == "forward":
        return forward, {}
    for x in given:
        x.requires_grad_()
    return gradient, {}


def main() -> None:
    """Serve on all allowed cores, within the memory limit."""
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    torch._dynamo.config.recompile_limit = 1000  # each case and length is compiled
    resource.setrlimit(resource.RLIMIT_DATA, (MOST_BYTES, MOST_BYTES))
    serve(prepare, version=torch.__version__)


if __name__ == "__main__":
    main()
