"""A side of the benchmark `ring`: attention on as many host devices as its process has.

It answers each line of standard input, `[verb, ...]`, with a line of standard output: `prepare` a
case, `probe` some rows of its result, and `run` it any number of times.
"""

import contextlib
import json
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from attn_jax.ops import Summary, streaming_attention

PASSES = ("forward", "backward", "summary")
HEADS, FEATURES = 1, 64
_ROWS = 7


def call_of(passes: str, how: str, blocks: Sequence[int] | None) -> Callable[..., Any]:
    """Return the function of a case: the context, gradients of all operands, or the summary."""
    options: dict[str, Any] = {"causal": True, "implementation": how}
    options["block_sizes"] = None if blocks is None else tuple(blocks)
    if passes == "summary":
        tiles = (128, 128)
        options["summary"] = Summary(
            True, True, top_k=8, received=True, distance=True, pooled=tiles
        )

    def attend(*arrays: jax.Array) -> Any:
        return streaming_attention(*arrays, **options)

    if passes != "backward":
        return attend

    def loss(*arrays: jax.Array) -> jax.Array:
        return jnp.square(attend(*arrays)).sum()

    return jax.grad(loss, argnums=(0, 1, 2))


class Session:
    """The cases that were prepared, on a ring where there is more than one device."""

    def __init__(self) -> None:
        self._cases = dict[str, Callable[[], Any]]()
        self._mesh = jax.make_mesh(
            (jax.device_count(),), ("sequence",), axis_types=(AxisType.Auto,)
        )

    def prepare(self, name: str, tokens: int, *case: Any) -> dict[str, Any]:
        """Compile a case and return the memory that a device takes for it."""
        rng = np.random.default_rng(0)
        shape = (tokens, HEADS, FEATURES)
        sharding = NamedSharding(self._mesh, PartitionSpec("sequence"))
        arrays = [jnp.asarray(rng.normal(size=shape), jnp.float32) for _ in range(3)]
        arrays = jax.device_put(arrays, sharding)
        is_ring = jax.device_count() > 1
        with jax.set_mesh(self._mesh) if is_ring else contextlib.nullcontext():
            program = jax.jit(call_of(*case)).lower(*arrays).compile()
        self._cases[name] = lambda: jax.block_until_ready(program(*arrays))
        memory: Any = program.memory_analysis()
        return {"temporaries": memory.temp_size_in_bytes}

    def probe(self, name: str) -> dict[str, Any]:
        """Compute once, and return some numbers of each result."""
        leaves = jax.tree.leaves(self._cases[name]())
        return {"rows": [_some(leaf) for leaf in leaves if leaf.dtype == jnp.float32]}

    def run(self, name: str) -> dict[str, Any]:
        """Return the seconds of a call on all processors together."""
        started = time.process_time()
        self._cases[name]()
        return {"cpu": time.process_time() - started}


def _some(array: jax.Array) -> list[float]:
    flat = np.asarray(array).ravel()
    return flat[:: max(1, flat.size // _ROWS)].tolist()


def main() -> None:
    """Serve until standard input ends."""
    answers, sys.stdout = sys.stdout, sys.stderr
    session = Session()
    for line in sys.stdin:
        verb, *arguments = json.loads(line)
        print(json.dumps(getattr(session, verb)(*arguments)), file=answers, flush=True)


if __name__ == "__main__":
    main()
