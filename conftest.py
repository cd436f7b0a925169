"""Settings of the whole suite: runtime shape checks, four CPU devices, no silent broadcasting."""

import os

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("MPLBACKEND", "agg")
# Most of the suite's time is spent compiling programs that run once on tiny arrays: the machine
# code need not be optimised, nor come from the slower of XLA's two writers of it. XLA's own passes,
# which decide what is computed, all run.
os.environ["XLA_FLAGS"] = " ".join(
    [
        os.environ.get("XLA_FLAGS", ""),
        "--xla_backend_optimization_level=0",
        "--xla_llvm_disable_expensive_passes=true",
        "--xla_cpu_use_fusion_emitters=false",
    ]
)

import jax
import jax.numpy as jnp
import jaxtyping
import pytest
from jaxtyping import install_import_hook

jax.config.update("jax_num_cpu_devices", 4)
jax.config.update("jax_numpy_rank_promotion", "raise")
install_import_hook("attn_jax", "beartype.beartype")


@pytest.fixture
def unchecked():
    """Switch off the runtime shape checks, so that the library's own errors are met."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.fixture(autouse=True)
def names_in_examples(doctest_namespace):
    """Give the docstrings' examples the two imports that they take for granted."""
    doctest_namespace.update(jax=jax, jnp=jnp)
