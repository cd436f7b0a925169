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
    """Whether a query sees a key, as `flex_attention` asks it."""
    masks: dict[str, Visible] = {
        "full": lambda batch, head, query, key: query >= 0,
        "causal": lambda batch, head, query, key: query >= key,
        "window": lambda batch, head, query, key: (query >= key) & (query - key < case.window),
    }
    return masks[case.mask]


def attention(case: Case, tokens: int) -> Callable[..., Any]:
    """The function of a case; its mask is made here, beforehand."""
    if case.contender == "PyTorch flex":
        # Without blocks it holds whole rows of scores, so it has them also where all see all;
        # made without compiling, they would need the whole mask.
        make = torch.compile(flex.create_block_mask)
        blocks = make(visible(case), None, None, tokens, tokens, device="cpu")
        compiled = torch.compile(flex.flex_attention, dynamic=False)
        return functools.partial(compiled, block_mask=blocks)
    if case.mask == "window":
        at = torch.arange(tokens)
        mask = visible(case)(None, None, at[:, None], at)
        return functools.partial(scaled_dot_product_attention, attn_mask=mask)
    return functools.partial(scaled_dot_product_attention, is_causal=case.mask == "causal")


def prepare(case: Case, arrays: NDArray[np.float32]) -> tuple[Call, dict[str, Any]]:
    """Makes the call of a case."""
    *given, cotangent = (torch.from_numpy(array).transpose(1, 2).contiguous() for array in arrays)
    attend = attention(case, arrays.shape[2])

    def forward() -> Sequence[Any]:
        with torch.no_grad():
            return [attend(*given).transpose(1, 2)]

    def gradient() -> Sequence[Any]:
        context = attend(*given)
        slopes = torch.autograd.grad(context, given, cotangent)
        return [one.detach().transpose(1, 2) for one in (context, slopes[0])]

    if case.passes == "forward":
        return forward, {}
    for one in given:
        one.requires_grad_()
    return gradient, {}


def main() -> None:
    """Answers, on all cores it may use, within the memory that is allowed."""
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    torch._dynamo.config.recompile_limit = 1000  # each case and length is compiled
    resource.setrlimit(resource.RLIMIT_DATA, (MOST_BYTES, MOST_BYTES))
    serve(prepare, version=torch.__version__)


if __name__ == "__main__":
    main()
