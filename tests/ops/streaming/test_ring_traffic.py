"""What eight devices send each other, and what memory each takes, as compiled programs have it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SIZE, TOKENS, HEADS, KEY_HEADS, FEATURES = 8, 8192, 2, 1, 16
LOCAL = TOKENS // SIZE
# In bytes, of one device.
QUERY, KEY = (4 * LOCAL * heads * FEATURES for heads in (HEADS, KEY_HEADS))
RECEIVED = 4 * LOCAL * HEADS
HOPS = SIZE - 1
FORWARD = HOPS * 2 * KEY


@pytest.fixture(scope="module")
def compiled():
    """In a process of its own, for the tests' has four devices."""
    script = Path(__file__).with_name("ring_process.py")
    environment = os.environ | {"PYTHONPATH": str(Path.cwd())}
    done = subprocess.run(
        [sys.executable, script], env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("forward", FORWARD),
        # Into the zig-zag go query, key and value, and the context comes out.
        ("causal", FORWARD + 2 * QUERY + 2 * KEY),
        # Once more, with gradients that travel home, one hop further.
        ("gradients", FORWARD + FORWARD + SIZE * 2 * KEY),
        # The second pass needs no values.
        ("received", FORWARD + HOPS * KEY + SIZE * RECEIVED),
    ],
)
def test_devices_send_shards_and_nothing_else(compiled, name, expected):
    assert compiled[f"{name} 8"]["sent"] == expected
    assert compiled[f"{name} 8"]["gathers"] == 0


@pytest.mark.parametrize("name", ["forward", "gradients"])
def test_twice_as_many_devices_take_half_the_memory_each(compiled, name):
    few, many = (compiled[f"{name} {size}"]["temporaries"] for size in (4, 8))
    assert many < 0.55 * few
