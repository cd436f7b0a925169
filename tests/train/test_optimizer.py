import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attn_jax.train import TrainConfig, make_optimizer, make_schedule


def reference(params, gradients, config, rates):
    """AdamW by the paper's algorithm 2, after clipping by the global norm, in float64."""
    params = {name: value.astype(float) for name, value in params.items()}
    first = {name: np.zeros_like(value) for name, value in params.items()}
    second = {name: np.zeros_like(value) for name, value in params.items()}
    for t, (gradient, rate) in enumerate(zip(gradients, rates, strict=True), start=1):
        norm = np.sqrt(sum((g.astype(float) ** 2).sum() for g in gradient.values()))
        shrink = min(1.0, config.clip_norm / norm) if config.clip_norm else 1.0
        for name, value in params.items():
            g = gradient[name] * shrink
            first[name] = 0.9 * first[name] + 0.1 * g
            second[name] = 0.999 * second[name] + 0.001 * g**2
            update = (first[name] / (1 - 0.9**t)) / (np.sqrt(second[name] / (1 - 0.999**t)) + 1e-8)
            decay = config.weight_decay * value if value.ndim > 1 else 0
            params[name] = value - rate * (update + decay)
    return params


@pytest.mark.parametrize("clip_norm", [0.0, 0.5])
@pytest.mark.parametrize("weight_decay", [0.0, 0.3])
def test_three_steps_by_the_papers_algorithm(clip_norm, weight_decay):
    rng = np.random.default_rng(0)
    config = TrainConfig(
        learning_rate=0.1, schedule="constant", warmup=0.0, clip_norm=clip_norm,
        weight_decay=weight_decay,
    )  # fmt: skip
    shapes = {"kernel": (5, 3), "bias": (3,), "scale": ()}
    draw = lambda: {k: np.asarray(rng.normal(size=s), np.float32) for k, s in shapes.items()}  # noqa: E731
    start, gradients = draw(), [draw() for _ in range(3)]
    optimizer = make_optimizer(config, 7)
    params = jax.tree.map(jnp.asarray, start)
    state = optimizer.init(params)
    for gradient in gradients:
        updates, state = optimizer.update(jax.tree.map(jnp.asarray, gradient), state, params)
        params = jax.tree.map(jnp.add, params, updates)
    expected = reference(start, gradients, config, [0.1] * 3)
    for name in shapes:
        # In float32, 1 - 0.999 is off by 5e-5 of itself, and the updates by half of that.
        np.testing.assert_allclose(params[name], expected[name], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("schedule", "warmup", "expected"),
    [
        ("constant", 0.0, [0.2, 0.2, 0.2]),
        ("constant", 0.5, [0.0, 0.2, 0.2]),
        ("cosine", 0.0, [0.2, 0.1, 0.0]),
        ("cosine", 0.5, [0.0, 0.2, 0.0]),
    ],
)
def test_the_schedule_at_its_start_middle_and_end(schedule, warmup, expected):
    config = TrainConfig(learning_rate=0.2, schedule=schedule, warmup=warmup)
    rates = [make_schedule(config, 10)(step) for step in (0, 5, 10)]
    np.testing.assert_allclose(rates, expected, atol=1e-7)
