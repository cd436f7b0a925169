"""The compiled kernels for CPUs: beside float64, under transformations, and where they fail."""

import importlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import kernel_cases
import numpy as np
import pytest
from jax.sharding import AxisType, PartitionSpec
from reference_attention import Reference, check_summary, close

from attn_jax.hooks import capture, intervene
from attn_jax.ops import Summary, attention, streaming_attention
from attn_jax.ops.streaming.cpu import library

ROOT = Path(__file__).parents[2]
TOLERANCE = 1e-5
RNG = np.random.default_rng(41)
Q, K, H, KEY_HEADS, D, E = 19, 31, 4, 2, 5, 7


def normal(*shape):
    return jnp.asarray(RNG.normal(size=shape), jnp.float32)


def kernel(*arrays, **options):
    return attention(*arrays, **options, implementation="kernel")


QUERY, KEY, VALUE = normal(Q, H, D), normal(K, KEY_HEADS, D), normal(K, KEY_HEADS, E)


def load(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A folder with the package, built from this clone."""
    build = load(ROOT / "kernels" / "cpu" / "build.py")
    if build.compiler() is None:
        pytest.skip(f"there is no C++ compiler: {library.INSTALL} needs g++ or clang++")
    folder = tmp_path_factory.mktemp("kernels")
    build.build(folder)
    return folder


@pytest.fixture(scope="module")
def kernels(built):
    """The package, importable while the tests of this file run."""
    sys.path.insert(0, str(built))
    forget()
    assert library.missing() is None
    yield
    sys.path.remove(str(built))
    forget()


def forget():
    sys.modules.pop("attn_jax_cpu", None)
    importlib.invalidate_caches()
    library.missing.cache_clear()


def in_process(built, cases, seed, processors=None, **environment):
    """Run `kernel_cases` in a process with one device, perhaps on few processors."""
    command = [sys.executable, kernel_cases.__file__, str(built), str(cases), str(seed)]
    before = os.sched_getaffinity(0) if processors else None
    if before:
        os.sched_setaffinity(0, set(sorted(before)[:processors]))
    try:
        settings = os.environ | environment | {"PYTHONPATH": str(ROOT)}
        done = subprocess.run(command, env=settings, capture_output=True, text=True, check=False)
    finally:
        if before:
            os.sched_setaffinity(0, before)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


@pytest.mark.usefixtures("kernels")
def test_random_calls_are_those_of_float64():
    error, where = kernel_cases.run(cases=120, seed=1)
    assert error <= TOLERANCE, where


@pytest.fixture(scope="module")
def reports(built):
    """What each instruction set that this processor has computes."""
    names = ("avx512", "avx2", "generic") if os.uname().machine == "x86_64" else ("",)
    sets = {name: in_process(built, 40, 2, ATTN_JAX_CPU_ISA=name) for name in names}
    return {report["isa"]: report for report in sets.values()}


def test_every_instruction_set_is_exact(reports):
    for report in reports.values():
        assert report["worst"] <= TOLERANCE, report
    assert os.uname().machine != "x86_64" or "generic" in reports


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="only Linux binds to processors")
def test_one_thread_and_several_compute_the_same_bits(built, reports):
    report = in_process(built, 0, 0, processors=1)
    assert report["digest"] == reports[report["isa"]]["digest"]


@pytest.mark.usefixtures("kernels")
def test_a_low_bias_hides_nothing_and_an_infinite_one_does():
    lowest = jnp.finfo(jnp.float32).min
    bias = jnp.zeros((H, Q, K)).at[:, 3].set(lowest).at[:, 4].set(-jnp.inf)
    weights = np.asarray(Reference(QUERY, KEY, VALUE).weights)
    context = kernel(QUERY, KEY, VALUE, bias=bias.at[:, 5, 1:].set(lowest))
    values = np.repeat(np.asarray(VALUE), H // KEY_HEADS, axis=1)
    close(context[3], values.mean(axis=0))
    close(context[4], np.zeros((H, E)))
    close(context[5], values[0])
    close(context[6], np.einsum("hk,khe->he", weights[:, 6], values))


@pytest.mark.usefixtures("kernels")
@pytest.mark.parametrize(
    "shape", [(1, H, 53, 1100), (53, 1100), (2, H, 1, 1100), (1, H, 53, 1)], ids=str
)
def test_the_gradient_of_a_bias_over_spans_of_keys(shape):
    arrays = [normal(2, n, heads, D) for n, heads in ((53, H), (1100, 2), (1100, 2))]
    bias, toward = normal(*shape), normal(2, 53, H, D)
    fn = jax.jit(
        lambda bias: kernel(*arrays, bias=bias, softcap=3.0, causal=True, query_offset=900)
    )
    expected = Reference(*arrays, bias=bias, softcap=3.0, causal=True, query_offset=900)
    text = jax.jit(jax.vjp(fn, bias)[1]).lower(toward).as_text()
    assert "attn_jax_backward" in text
    assert "while" not in text  # as in the loops of XLA's form
    close(jax.vjp(fn, bias)[1](toward)[0], expected.gradients(toward)["bias"], TOLERANCE)


@pytest.mark.usefixtures("kernels")
@pytest.mark.parametrize("tiles", [(1, 1), (5, 3), (53, 1100)], ids=str)
def test_the_whole_summary_of_many_keys(tiles):
    # Scores rise along the keys, so that each is larger than all before it.
    arrays = [normal(2, n, heads, D) for n, heads in ((53, H), (1100, 2), (1100, 2))]
    options = {"bias": jnp.linspace(-3, 9, 1100), "causal": True, "query_offset": 900}
    names = "entropy", "max_logit", "distance", "received"
    fields = Summary(**dict.fromkeys(names, True), top_k=11, pooled=tiles)
    _, summary = streaming_attention(*arrays, **options, summary=fields, implementation="kernel")
    check_summary(summary, Reference(*arrays, **options), tiles)


@pytest.mark.usefixtures("kernels")
def test_of_equal_weights_the_first_are_the_largest():
    x = jnp.zeros((300, 1, D))
    fields = Summary(top_k=64)
    _, summary = streaming_attention(x, x, x, causal=True, summary=fields, implementation="kernel")
    expected = np.broadcast_to(np.arange(64), (300, 64))
    seen = expected <= np.arange(300)[:, None]
    np.testing.assert_array_equal(summary.top_indices[0], np.where(seen, expected, -1))
    close(summary.top_weights[0], np.where(seen, 1 / (np.arange(300)[:, None] + 1), 0))


@pytest.mark.usefixtures("kernels")
@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16])
def test_halves_are_summed_in_float32(dtype):
    arrays = [x.astype(dtype) for x in (QUERY, KEY, VALUE)]
    context = kernel(*arrays, causal=True, query_offset=5)
    assert context.dtype == dtype
    reference = Reference(*arrays, causal=True, query_offset=5).context
    close(context, reference, jnp.finfo(dtype).eps)


@pytest.mark.usefixtures("kernels")
def test_what_nobody_may_see_cannot_leak():
    hidden = (jnp.arange(K) % 3 == 1)[:, None, None]
    broken = jnp.where(hidden, jnp.nan, KEY), jnp.where(hidden, jnp.inf, VALUE)
    options = {"key_mask": ~hidden[:, 0, 0], "window": (9, 4)}

    def everything(*arrays):
        context, pull = jax.vjp(lambda *x: kernel(*x, **options), *arrays)
        return context, pull(context)

    expected, actual = everything(QUERY, KEY, VALUE), everything(QUERY, *broken)
    jax.tree.map(np.testing.assert_array_equal, actual, expected)


@pytest.mark.usefixtures("kernels")
def test_a_visible_nan_is_seen():
    context = kernel(QUERY, KEY.at[2].set(jnp.nan), VALUE, window=(0, 3))
    is_nan = np.isnan(np.asarray(context)).all((1, 2))
    np.testing.assert_array_equal(is_nan, np.arange(Q) <= 2)


@pytest.mark.usefixtures("kernels")
@pytest.mark.parametrize("sizes", [(0, K), (Q, 0), (0, 0)], ids=str)
def test_nothing_to_attend_to(sizes):
    query, (key, value) = QUERY[: sizes[0]], (x[: sizes[1]] for x in (KEY, VALUE))
    fields = Summary(entropy=True, received=True)
    context, summary = streaming_attention(
        query, key, value, summary=fields, implementation="kernel"
    )
    close(context, np.zeros((sizes[0], H, E)))
    close(summary.received, np.zeros((H, sizes[1])))
    close(summary.log_normalizer, np.full((H, sizes[0]), -np.inf))


@pytest.mark.usefixtures("kernels")
def test_derivatives_of_every_kind():
    bias, toward = normal(H, Q, K), normal(Q, H, E)
    tangents = [normal(*x.shape) for x in (QUERY, KEY, VALUE)]

    def attend(implementation):
        def fn(query, key, value, bias):
            options = {"causal": True, "query_offset": 6, "softcap": 2.0}
            return attention(query, key, value, bias=bias, **options, implementation=implementation)

        return fn

    def everything(fn):
        given = QUERY, KEY, VALUE, bias
        forward = jax.jvp(lambda *x: fn(*x, bias), given[:3], tuple(tangents))
        reverse = jax.vjp(fn, *given)[1](toward)

        def slope(query):
            return (jax.grad(lambda q: (fn(q, *given[1:]) ** 2).sum())(query) ** 2).sum()

        return forward, reverse, jax.grad(slope)(QUERY), jax.jvp(slope, (QUERY,), (tangents[0],))

    ours, expected = (jax.jit(lambda n=n: everything(attend(n)))() for n in ("kernel", "xla"))
    for x, y in zip(*map(jax.tree.leaves, (ours, expected)), strict=True):
        np.testing.assert_allclose(x, y, atol=2e-4, rtol=2e-4)


@pytest.mark.usefixtures("kernels")
def test_vmap_folds_any_axes_and_shares_what_has_none():
    queries, masks = normal(3, 2, Q, H, D), jnp.asarray(RNG.random((2, H, Q, K)) < 0.7)
    offsets, toward = jnp.array([-4, 0, 7]), normal(3, 2, Q, H, E)

    def of_one(query, mask, offset, toward):
        def attend(query, key):
            return kernel(query, key, VALUE, mask=mask, query_offset=offset, window=(6, 2))

        context, pull = jax.vjp(attend, query, KEY)
        return context, *pull(toward)

    over_masks = jax.vmap(of_one, in_axes=(0, 0, None, 0))
    context, of_query, of_key = jax.jit(jax.vmap(over_masks, in_axes=(0, None, 0, 0)))(
        queries, masks, offsets, toward
    )
    for i, j in np.ndindex(3, 2):
        options = {"mask": masks[j], "query_offset": int(offsets[i]), "window": (6, 2)}
        reference = Reference(queries[i, j], KEY, VALUE, **options)
        close(context[i, j], reference.context)
        close(of_query[i, j], reference.gradients(toward[i, j])["query"], 2e-5)
        close(of_key[i, j], reference.gradients(toward[i, j])["key"], 2e-5)


@pytest.mark.usefixtures("kernels")
@pytest.mark.parametrize("shape", [(1, Q, K), (H, 1, K)], ids=str)
def test_vmap_takes_the_gradient_of_a_bias_that_it_shares_or_maps(shape):
    queries, biases, toward = normal(3, Q, H, D), normal(3, *shape), normal(3, Q, H, E)

    def pull(query, bias, toward):
        return jax.vjp(lambda bias: kernel(query, KEY, VALUE, bias=bias), bias)[1](toward)[0]

    def all_of(bias):
        return jax.vmap(lambda query: kernel(query, KEY, VALUE, bias=bias))(queries)

    mapped = jax.jit(jax.vmap(pull))(queries, biases, toward)
    shared = jax.jit(lambda bias: jax.vjp(all_of, bias)[1](toward)[0])(biases[0])
    total = np.zeros(shape)
    for i in range(3):
        close(mapped[i], _of_bias(queries[i], biases[i], toward[i]))
        total += _of_bias(queries[i], biases[0], toward[i])
    close(shared, total)


def _of_bias(query, bias, toward):
    return Reference(query, KEY, VALUE, bias=bias).gradients(toward)["bias"]


@pytest.mark.usefixtures("kernels")
def test_layers_in_a_scan_of_checkpoints_are_differentiated():
    x, scales = normal(Q, KEY_HEADS, D), jnp.array([0.5, 1.0, 2.0])

    def loss(implementation):
        def layer(x, scale):
            options = {"causal": True, "implementation": implementation}
            return x + attention(scale * x, x, x, **options), None

        return lambda x: (jax.lax.scan(jax.checkpoint(layer), x, scales)[0] ** 2).mean()

    ours, expected = (jax.jit(jax.value_and_grad(loss(n)))(x) for n in ("kernel", "xla"))
    jax.tree.map(lambda x, y: close(x, np.asarray(y)), ours, expected)


@pytest.mark.usefixtures("kernels")
@pytest.mark.parametrize("implementation", ["kernel", "auto"])
def test_each_device_attends_to_its_part_of_a_batch(implementation):
    mesh = jax.make_mesh((4,), ("data",), axis_types=(AxisType.Auto,))
    arrays = [normal(4, *x.shape) for x in (QUERY, KEY, VALUE)]

    def loss(arrays):
        fields = Summary(entropy=True, received=True)
        context, summary = streaming_attention(
            *arrays, causal=True, summary=fields, implementation=implementation
        )
        return (context**2).sum(), (context, summary)

    look = jax.grad(loss, has_aux=True)
    parts = {"in_specs": PartitionSpec("data"), "out_specs": PartitionSpec("data")}
    on_devices = jax.jit(jax.shard_map(look, mesh=mesh, **parts))
    assert "attn_jax_backward" in on_devices.lower(arrays).as_text()
    jax.tree.map(lambda x, y: close(x, np.asarray(y)), on_devices(arrays), jax.jit(look)(arrays))


@pytest.mark.usefixtures("kernels")
def test_the_hook_points_are_the_same():
    reference = Reference(QUERY, KEY, VALUE, causal=True)
    _, captured = capture(kernel, "*")(QUERY, KEY, VALUE, causal=True)
    close(captured["weights"], reference.weights)
    _, captured = capture(kernel, {"summary": Summary(entropy=True)})(
        QUERY, KEY, VALUE, causal=True
    )
    close(captured["summary"].entropy, reference.summary((1, 1))["entropy"])
    edited = intervene(kernel, {"weights": lambda weights, site: weights.at[1].set(0)})
    expected = np.asarray(reference.context)
    expected[:, 1] = 0
    close(edited(QUERY, KEY, VALUE, causal=True), expected)


@pytest.mark.usefixtures("kernels")
def test_auto_takes_it_on_one_device_where_it_wins(monkeypatch):
    monkeypatch.setattr(jax, "device_count", lambda: 1)

    def lowered(tokens, **options):
        x = jnp.zeros((tokens, 1, 8))
        return jax.jit(lambda x: attention(x, x, x, **options)).lower(x).as_text()

    assert "attn_jax_forward" in lowered(256)
    assert "attn_jax_forward" not in lowered(64)
    assert "attn_jax_forward" not in lowered(256, implementation="streaming")
    assert "attn_jax_forward" not in lowered(256, implementation="xla")
    x = jnp.zeros((256, 1, 8))
    top = jax.jit(lambda x: streaming_attention(x, x, x, summary=Summary(top_k=65)))
    assert "attn_jax_forward" not in top.lower(x).as_text()


@pytest.mark.usefixtures("kernels", "unchecked")
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"summary": Summary(top_k=65)}, "does not have a summary with top_k above 64; 'auto'"),
        ({"block_sizes": (8, 8)}, "does not have block_sizes; 'auto'"),
    ],
    ids=str,
)
def test_an_option_that_it_lacks_is_named(options, message):
    key, value = (jnp.concatenate([x] * 3) for x in (KEY, VALUE))
    with pytest.raises(ValueError, match=message):
        streaming_attention(QUERY, key, value, **options, implementation="kernel")


def test_without_the_package_its_name_gives_the_install_line(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    library.missing.cache_clear()
    with pytest.raises(ImportError, match=r"pip install 'attn-jax\[cpu\]', or `make setup`"):
        kernel(QUERY, KEY, VALUE)
    close(attention(QUERY, KEY, VALUE), Reference(QUERY, KEY, VALUE).context)
    library.missing.cache_clear()


BROKEN = {
    "another interface": ("INTERFACE = 99", "it has interface 99, this attn-jax has 2"),
    "no library": ("import ctypes\nctypes.CDLL('absent.so')", "absent.so"),
    "no handlers": ("INTERFACE = 2\ndef handlers(): return {'attn_jax_forward': 5}", ""),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_package_is_warned_of_once_and_not_used(name, tmp_path, monkeypatch):
    source, message = BROKEN[name]
    (tmp_path / "attn_jax_cpu.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(jax, "device_count", lambda: 1)
    forget()
    with pytest.warns(RuntimeWarning, match=message) as warned:
        context = streaming_attention(QUERY, KEY, VALUE)
    assert "builds it anew" in str(warned[0].message)
    streaming_attention(QUERY, KEY, VALUE, causal=True)  # a second warning would be an error
    close(context, Reference(QUERY, KEY, VALUE).context)
    with pytest.raises(ImportError, match="cannot be used here"):
        kernel(QUERY, KEY, VALUE)
    forget()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux's libraries tell their length")
def test_a_library_that_was_cut_short_is_warned_of(built, tmp_path, monkeypatch):
    package = shutil.copytree(built / "attn_jax_cpu", tmp_path / "attn_jax_cpu")
    library_file = package / "attn_jax_cpu.so"
    os.truncate(library_file, library_file.stat().st_size // 2)
    monkeypatch.syspath_prepend(tmp_path)
    forget()
    with pytest.warns(RuntimeWarning, match="was cut short"):
        assert library.missing()
    forget()


@pytest.mark.parametrize(
    ("command", "message"), [("false", "false failed"), ("absent", "absent cannot be run")]
)
def test_a_compiler_that_fails_is_named(command, message, tmp_path, monkeypatch):
    build = load(ROOT / "kernels" / "cpu" / "build.py")
    monkeypatch.setenv("CXX", command)
    with pytest.raises(RuntimeError, match=message):
        build.build(tmp_path)


@pytest.mark.usefixtures("kernels")
@pytest.mark.parametrize("implementation", ["kernel", "streaming"])
def test_float32_calls_are_the_same_where_jax_has_64_bits(implementation):
    options = {"causal": True, "query_offset": 6, "mask": jnp.asarray(RNG.random((Q, K)) < 0.7)}
    reference, toward = Reference(QUERY, KEY, VALUE, **options), normal(Q, H, E)
    fields = Summary(entropy=True, received=True, top_k=3)

    def attend(query):
        return streaming_attention(
            query, KEY, VALUE, **options, summary=fields, implementation=implementation
        )

    with jax.enable_x64(True):
        context, pull, summary = jax.vjp(attend, QUERY, has_aux=True)
        (of_query,) = pull(toward)
    assert context.dtype == of_query.dtype == jnp.float32
    close(context, reference.context)
    close(of_query, reference.gradients(toward)["query"], TOLERANCE)
    close(summary.received, reference.summary((1, 1))["received"])
