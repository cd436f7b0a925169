"""The option that keeps freed memory between the steps of training."""

import platform
import subprocess
import sys

import pytest

# Page faults of three arrays of 64 MiB, written and freed one after the other.
SCRIPT = """
import resource, sys
import numpy as np
from experiments.memory import keep_freed_memory
if sys.argv[1] == "keep":
    assert keep_freed_memory()
counts = []
for _ in range(3):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    array = np.empty(2**26, np.uint8)
    array[:: 4096] = 1
    del array
    counts.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
print(*counts)
"""


def page_faults(mode):
    command = [sys.executable, "-c", SCRIPT, mode]
    result = subprocess.run(command, check=True, capture_output=True, text=True)
    return list(map(int, result.stdout.split()))


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has these options")
def test_memory_that_was_freed_is_used_again_without_page_faults():
    first, *others = page_faults("keep")
    default = page_faults("default")
    assert max(others) < 100
    assert first > 10 * max(others)
    assert min(default) > 10 * max(others)
