"""What importing a package brings with it: the first call of a user waits for it."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize("package", ["hooks", "ops", "measure", "circuits", "tasks"])
def test_slow_packages_are_imported_where_they_are_used(package):
    code = f"import sys, attn_jax.{package}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    slow = {"flax", "matplotlib", "optax", "orbax", "scipy", "tensorflow_datasets", "torch"}
    assert not slow & set(done.stdout.split())
