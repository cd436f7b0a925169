"""Settings of the whole suite: runtime shape checks, four CPU devices, no silent broadcasting."""

import gc
import os
from pathlib import Path

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("MPLBACKEND", "agg")
# Most of the suite's time is spent compiling programs that run once on tiny arrays: the machine
# code need not be optimized, nor come from the slower of XLA's two writers of it, nor be split into
# 32 modules, each with a compiler of its own. XLA's own passes, which decide what is computed, all
# run.
os.environ["XLA_FLAGS"] = " ".join(
    [
        os.environ.get("XLA_FLAGS", ""),
        "--xla_backend_optimization_level=0",
        "--xla_llvm_disable_expensive_passes=true",
        "--xla_cpu_use_fusion_emitters=false",
        "--xla_cpu_parallel_codegen_split_count=1",
    ]
)

import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest
from jaxtyping import install_import_hook

jax.config.update("jax_num_cpu_devices", 4)
jax.config.update("jax_numpy_rank_promotion", "raise")
# A program's text need not say which lines of code it comes from: no test reads it, and it takes
# time to write.
jax.config.update("jax_traceback_in_locations_limit", 0)
install_import_hook("attn_jax", "beartype.beartype")


def pytest_collection_finish():
    """Keep the garbage collector from the modules: it took a tenth of the suite's time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


@pytest.fixture(scope="module", autouse=True)
def bounded_memory():
    """Drop compiled programs once a worker holds gigabytes of them; the suite makes thousands."""
    yield
    pages = Path("/proc/self/statm")
    resident = int(pages.read_text().split()[1]) if pages.exists() else 0
    if resident * os.sysconf("SC_PAGE_SIZE") > 4 * 2**30:
        jax.clear_caches()
        gc.collect()


@pytest.fixture(scope="session")
def count_programs():
    """Call a function, and return how many programs JAX compiled meanwhile."""

    def count(call):
        compiled = []

        def listen(event, duration, **_):
            if event == "/jax/core/compile/backend_compile_duration":
                compiled.append(event)

        jax.monitoring.register_event_duration_secs_listener(listen)
        try:
            call()
        finally:
            jax.monitoring.unregister_event_duration_listener(listen)
        return len(compiled)

    return count


@pytest.fixture(scope="session")
def draw_variables():
    """Draw a model's variables in NumPy: jitted, its `init` takes longer to compile than itself."""

    def draw(model, *inputs, scale=0.4):
        shapes = jax.eval_shape(model.init, jax.random.key(0), *inputs)
        rng = np.random.default_rng(0)
        return jax.tree.map(
            lambda leaf: jnp.asarray(rng.normal(0, scale, leaf.shape), leaf.dtype), shapes
        )

    return draw


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
