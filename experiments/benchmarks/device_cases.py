"""The cases of the benchmark `device`: the settings, in order, and the ways to compute them."""

import dataclasses
import itertools
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.typing import NDArray

from attn_jax import ops
from attn_jax.ops.devices import kernel_compiler
from attn_jax.ops.reference.operands import checked_call
from attn_jax.ops.streaming.attention import hide_unseen, stream
from attn_jax.ops.streaming.plan import plan_of
from experiments.benchmarks.attention_cases import Case
from experiments.benchmarks.attention_jax import Attention, summaries

WAYS = ("xla", "cudnn", "blocks", "pallas")
_NO_OPTIONS = dict.fromkeys(
    ("mask", "bias", "key_mask", "segment_ids", "window", "scale", "softcap", "sinks")
)


class Setting(NamedTuple):
    """What is computed.

    Attributes:
        dtype: The type of query, key and value.
        mask: `"causal"` or `"full"`.
        passes: `"forward"`, or `"gradient"` for the forward and the backward pass together.
        tokens: The number of queries and of keys.
        summary: `"none"`, `"entropy"` (and the largest score) or `"all"`.
    """

    dtype: str
    mask: str
    passes: str
    tokens: int
    summary: str = "none"


class Way(NamedTuple):
    """How it is computed.

    Attributes:
        name: One of `WAYS`; `blocks` is the streaming form that XLA compiles.
        blocks: The most queries and keys in a block of a Pallas kernel.
    """

    name: str
    blocks: tuple[int, int] | None = None


@dataclasses.dataclass(frozen=True)
class Scale:
    """How much is measured.

    Attributes:
        lengths: Numbers of tokens, those that decide most first.
        tokens: The tokens of a whole batch, so that short sequences fill a device too.
        heads: The number of heads.
        features: The features of a head.
        sizes: Of blocks, to be tuned.
        tuned_at: The number of tokens that they are tuned at.
        masks: The masks.
    """

    lengths: tuple[int, ...] = (2048, 8192, 512, 4096, 1024, 16384, 256)
    tokens: int = 16384
    heads: int = 16
    features: int = 64
    sizes: tuple[int, ...] = (32, 64, 128)
    tuned_at: int = 2048
    masks: tuple[str, ...] = ("causal", "full")

    def grids(self, dtype: str) -> tuple[Setting, list[Way]]:
        """Return the setting in which blocks are tuned, and the blocks."""
        pairs = itertools.product(self.sizes, self.sizes)
        return Setting(dtype, "causal", "forward", self.tuned_at), [Way("pallas", p) for p in pairs]

    def settings(self, dtype: str) -> Iterator[Setting]:
        """Return the settings of a type, those that decide most first."""
        for passes in ("forward", "gradient"):
            for tokens, mask in itertools.product(self.lengths, self.masks):
                yield Setting(dtype, mask, passes, tokens)
        for summary, tokens in itertools.product(("entropy", "all"), self.lengths[:2]):
            yield Setting(dtype, "causal", "forward", tokens, summary)

    def inputs(self, tokens: int) -> NDArray[np.float32]:
        """Return query, key, value and the gradient of the context, `(4, b, t, h, d)`."""
        shape = (4, max(1, self.tokens // tokens), tokens, self.heads, self.features)
        return np.random.default_rng(tokens).standard_normal(shape, dtype=np.float32)


SMOKE = Scale(
    lengths=(48,), tokens=96, heads=2, features=64, sizes=(16, 32), tuned_at=48, masks=("full",)
)
"""So little that a CPU can interpret it."""


def case(setting: Setting) -> Case:
    """Return the case that `attention_cases.reference` knows the results of."""
    return Case("", setting.mask, setting.passes)


def attention(way: Way, setting: Setting) -> Attention:
    """Return the function of query, key and value; on a CPU, Pallas kernels are interpreted."""
    causal = setting.mask == "causal"
    if way.name in ("xla", "cudnn"):
        return lambda *x: (ops.attention(*x, causal=causal, implementation=way.name), None)  # pyright: ignore[reportArgumentType]
    summary = ops.Summary()
    if setting.summary != "none":
        summary = summaries(setting.tokens)[f"streaming + {setting.summary}"] or summary
    compiler = kernel_compiler()

    def streamed(*x: Array) -> tuple[Array, Any]:
        options: dict[str, Any] = _NO_OPTIONS | {"causal": causal, "query_offset": 0}
        call = checked_call(*x, **options)
        plan = plan_of(call, way.blocks, summary, "streaming")
        kernel = (compiler or "triton") if way.name == "pallas" else None
        plan = dataclasses.replace(plan, kernel=kernel, interpret=compiler is None)
        return stream(plan, hide_unseen(plan, call))

    return streamed


def arrays_of(setting: Setting, inputs: NDArray[np.float32]) -> list[Array]:
    """Return the inputs on the device, in the type of the setting."""
    return [jax.device_put(jnp.asarray(x, setting.dtype)) for x in inputs]
