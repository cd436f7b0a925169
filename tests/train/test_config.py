import pytest

from attn_jax.train import TrainConfig


@pytest.mark.parametrize(
    ("option", "value", "what"),
    [
        ("epochs", 0, "at least 1"),
        ("batch_size", -3, "at least 1"),
        ("steps_per_call", 0, "at least 1"),
        ("keep", 0, "at least 1"),
        ("log_every", -1, "at least 0"),
        ("seed", -1, "at least 0"),
        ("learning_rate", float("nan"), "finite"),
        ("clip_norm", float("inf"), "finite"),
        ("warmup", 1.0, "a fraction"),
        ("label_smoothing", -0.1, "a fraction"),
        ("best", "test/accuracy", "validation/"),
    ],
)
def test_values_no_run_can_have_are_refused(option, value, what):
    with pytest.raises(ValueError, match=f"{option}={value!r} must be .*{what}"):
        TrainConfig(**{option: value})
