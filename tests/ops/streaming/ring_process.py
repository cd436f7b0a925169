"""Compile attention around rings of up to eight devices, and print what XLA made of it as JSON."""

import json
import os
import re

os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["XLA_FLAGS"] = " ".join(
    [
        "--xla_force_host_platform_device_count=8",
        "--xla_backend_optimization_level=0",
        "--xla_llvm_disable_expensive_passes=true",
    ]
)

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from attn_jax.ops import Summary, streaming_attention

TOKENS, HEADS, KEY_HEADS, FEATURES = 8192, 2, 1, 16
SHAPES = {"query": HEADS, "key": KEY_HEADS, "value": KEY_HEADS}
SUMMARY = Summary(received=True)


def attend(causal, summary=None):
    def call(query, key, value):
        options = {"causal": causal, "block_sizes": (64, 64), "summary": summary}
        return streaming_attention(query, key, value, **options, implementation="streaming")

    return call


def gradients(*given):
    return jax.grad(lambda *x: attend(causal=False)(*x).sum(), argnums=(0, 1, 2))(*given)


CALLS = {
    "forward": attend(causal=False),
    "causal": attend(causal=True),
    "gradients": gradients,
    "received": attend(causal=False, summary=SUMMARY),
}


def compiled(name, size):
    mesh = Mesh(np.array(jax.devices()[:size]), ("sequence",))
    sharding = NamedSharding(mesh, P("sequence"))
    given = [
        jax.ShapeDtypeStruct((TOKENS, heads, FEATURES), jnp.float32, sharding=sharding)
        for heads in SHAPES.values()
    ]
    with jax.set_mesh(mesh):
        return jax.jit(CALLS[name]).lower(*given).compile()


def sent(text):
    """The bytes that a device sends in permutations, those in loops as often as they are passed."""
    bodies, current = {}, []
    for line in text.splitlines():
        if head := re.match(r"(?:ENTRY )?%?([\w.-]+) .*\{$", line):
            current = bodies.setdefault(head[1], [])
        elif line.startswith("  "):
            current.append(line)

    def of(name):
        total = 0
        for line in bodies[name]:
            if permuted := re.search(r"= (\w+?)(\d+)\[([\d,]*)\]\S* collective-permute\(", line):
                shape = [int(n) for n in permuted[3].split(",") if n]
                total += int(permuted[2]) // 8 * int(np.prod(shape))
            times = re.search(r'known_trip_count":\{"n":"(\d+)"', line)
            for called in re.findall(r"(?:body|to_apply|calls)=%?([\w.-]+)", line):
                total += of(called) * (int(times[1]) if times else 1)
            for branches in re.findall(r"branch_computations=\{(.*?)\}", line):
                total += sum(of(branch.strip(" %")) for branch in branches.split(","))
        return total

    entry = re.search(r"^ENTRY %?([\w.-]+)", text, re.MULTILINE)
    return of(entry[1])


if __name__ == "__main__":
    found = {}
    for name, size in (*((name, 8) for name in CALLS), ("forward", 4), ("gradients", 4)):
        program = compiled(name, size)
        found[f"{name} {size}"] = {
            "sent": sent(program.as_text()),
            "temporaries": program.memory_analysis().temp_size_in_bytes,
            "gathers": program.as_text().count("all-gather("),
        }
    print(json.dumps(found))
