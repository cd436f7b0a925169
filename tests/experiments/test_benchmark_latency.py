import pytest

from experiments.benchmarks.latency import fastest, launch, open_door, report
from experiments.benchmarks.latency_process import opened
from experiments.benchmarks.record import write


def test_the_programs_of_a_call_are_counted():
    """A door that makes a loop anew, which JAX compiles each time."""
    import jax
    import jax.numpy as jnp

    def door():
        x = jnp.ones(17)
        return lambda: jax.lax.scan(lambda x, _: (x * 2, None), x, length=3)[0]

    about = opened(door)
    assert about["programs"] == [1, 1]
    assert about["first"] > 0


@pytest.mark.parametrize(
    "name", ["hooks.capture in a loop made anew", "circuits.ablate_heads of a model made anew"]
)
def test_a_call_that_repeats_compiles_nothing(name):
    about = open_door(name)
    assert about["programs"][0] >= 1
    assert about["programs"][1] == 0


def test_the_least_of_each_number_is_taken():
    rounds = [{"start": 2.0, "programs": [3, 0]}, {"start": 1.0, "programs": [4, 0]}]
    assert fastest(rounds) == {"start": 1.0, "programs": [3, 0]}


def test_a_launch_that_fails_says_so(tmp_path):
    with pytest.raises(RuntimeError, match="ended before its first step"):
        launch("mnist_article", tmp_path, ["--train.epochs", "none"])


def test_a_page_holds_imports_calls_and_launches(tmp_path):
    about = {"start": 1.25, "first": 0.5, "again": 0.003, "programs": [4, 0], "growth": 0.16}
    result = report({"jax": {"start": 0.75}}, {"door": about}, {"a": {"seconds": 9, "wall": 5}}, 2)
    page = write(result, tmp_path).read_text(encoding="utf-8")
    assert (
        "| `door` | 1.25     | 0.50 (4)            | 3 (0)                | 0.2         |" in page
    )
    assert "| `jax`   | 0.75    |" in page
    assert "| a          | 9.0          | 5.0     |" in page
