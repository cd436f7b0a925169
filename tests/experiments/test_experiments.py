"""Every experiment: it can be built, it looks somewhere, and it learns one batch by heart."""

import importlib

import jax
import numpy as np
import optax
import pytest

from attn_jax import models, nn
from experiments import catalogue

NAMES = sorted(catalogue.experiments())
IMAGES = [name for name in NAMES if name.startswith("mnist") and name != "mnist_bags"]


@pytest.mark.parametrize("name", NAMES)
def test_it_has_a_line_for_the_list_and_is_short(name):
    text = (catalogue.FOLDER / f"{name}.py").read_text()
    assert catalogue.experiments()[name].endswith(".")
    assert len(text.splitlines()) <= 35


@pytest.mark.parametrize("name", IMAGES)
def test_it_learns_one_batch_by_heart(name):
    experiment = importlib.import_module(f"experiments.configs.{name}").experiment
    rng = np.random.default_rng(0)
    images = (rng.random((16, 28, 28)) * (rng.random((16, 28, 28)) < 0.2)).astype(np.float32)
    batch = {"image": jax.numpy.asarray(images), "label": jax.numpy.arange(16) % 10}
    params = experiment.init(jax.random.key(0), batch)
    experiment.check_params(params)
    optimizer = optax.adam(1e-2)

    def objective(params):
        value, metrics = experiment.loss(experiment.apply(params, batch), batch)
        return value, metrics

    @jax.jit
    def step(params, state):
        gradients, metrics = jax.grad(objective, has_aux=True)(params)
        updates, state = optimizer.update(gradients, state)
        return optax.apply_updates(params, updates), state, metrics["accuracy"][0]

    # Not a scan, in which convolutions are slow on CPUs.
    state, correct = optimizer.init(params), 0
    for _ in range(100):
        params, state, correct = step(params, state)
    assert correct == 16

    model = experiment.sized_model()
    if isinstance(model, models.PlainImageClassifier):  # it has no attention to look at
        return
    _, weights = nn.apply_with_weights(model, {"params": params}, batch["image"])
    (map_,) = weights.values()
    rows, columns = model.grid((28, 28))
    assert map_.shape[-2:] == (1, rows * columns)
    np.testing.assert_allclose(map_.sum(-1), 1, atol=1e-5)
