"""Training with sequences that are divided over devices, by attention that goes around them."""

import jax
import numpy as np
import pytest

from attn_jax.ops import attention
from attn_jax.train import TrainConfig, classification_loss, fit
from attn_jax.train.devices import data_mesh, require_divisible

TOKENS, FEATURES = 8, 6


class Sorted:
    """Sequences, and the place of the largest first feature among four."""

    def load(self):
        rng = np.random.default_rng(0)
        x = rng.normal(size=(48, TOKENS, FEATURES)).astype(np.float32)
        examples = {"x": x, "label": x[:, :4, 0].argmax(-1).astype(np.int32)}
        return {"train": [examples], "validation": [{n: a[:8] for n, a in examples.items()}]}

    def prepare(self, batch, rng=None):
        return batch


def init(rng, batch):
    inner, outer = jax.random.split(rng)
    shapes = {"inner": (FEATURES, FEATURES), "outer": (TOKENS * FEATURES, 4)}
    rngs = {"inner": inner, "outer": outer}
    return {name: 0.3 * jax.random.normal(rngs[name], shape) for name, shape in shapes.items()}


def apply_with(implementation):
    def apply(params, batch, *, rng=None, train=False):
        heads = (batch["x"] @ params["inner"]).reshape(-1, TOKENS, 2, FEATURES // 2)
        context = attention(heads, heads, heads, causal=True, implementation=implementation)
        return context.reshape(len(context), -1) @ params["outer"]

    return apply


def losses(run_dir, implementation, devices, sequence):
    config = TrainConfig(epochs=2, batch_size=8, log_every=1, sequence=sequence)
    given = init, apply_with(implementation), classification_loss, Sorted(), config, run_dir
    rows = fit(*given, devices=devices).rows
    return [row["train/loss"] for row in rows], rows[-1]["validation/loss"]


def test_losses_are_those_of_one_device(tmp_path):
    one = losses(tmp_path / "one", "xla", jax.devices()[:1], 1)
    ring = losses(tmp_path / "ring", "ring", jax.devices(), 2)
    np.testing.assert_allclose(ring[0], one[0], rtol=1e-5)
    assert ring[1] == pytest.approx(one[1], rel=1e-5)


def test_batches_are_not_split_over_the_devices_of_a_sequence():
    mesh = data_mesh(sequence=2)
    assert dict(mesh.shape) == {"data": 2, "sequence": 2}
    require_divisible(mesh, batch_size=6)
    with pytest.raises(ValueError, match="batch_size=5 must be a multiple of the 2 devices"):
        require_divisible(mesh, batch_size=5)
    message = r"fsdp=2 times sequence=4 must divide .* 4; choose one of \[1, 2, 4\]"
    with pytest.raises(ValueError, match=message):
        data_mesh(fsdp=2, sequence=4)
