"""What loading a checkpoint takes, in a process of its own."""

import json
import subprocess
import sys
from pathlib import Path

_LOADING = """
import json, sys, time
import jax
from attn_jax import pretrained
jax.numpy.zeros(1).block_until_ready()
def anonymous():
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon"))
before, start = anonymous(), time.perf_counter()
model = pretrained.load(sys.argv[1])
jax.block_until_ready(model.variables)
seconds = time.perf_counter() - start
size = sum(x.nbytes for x in jax.tree.leaves(model.variables))
print(json.dumps({"seconds": seconds, "memory": anonymous() - before, "weights": size}))
"""


def loading(source: str | Path) -> dict[str, float]:
    """Load a checkpoint in a fresh process; return the seconds and bytes that it took."""
    command = [sys.executable, "-c", _LOADING, str(source)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout)
