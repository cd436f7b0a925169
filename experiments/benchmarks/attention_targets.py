"""The targets of the benchmark `attention`, beside the measurements."""

from collections.abc import Mapping, Sequence

from experiments.benchmarks.attention_cases import FAR, FAR_TOKENS, MIB, Case
from experiments.benchmarks.attention_measure import Found
from experiments.benchmarks.record import spread, spread_text

NONE = "–"
_TARGET_TOKENS, _SHORT = 8192, 512
_OURS, _TORCH = Case("streaming"), Case("PyTorch sdpa")
Rounds = Sequence[float]


def seconds(found: Found, case: Case) -> Rounds:
    """Return the seconds of each round; none where the case was not measured."""
    return found.get(case, {}).get("seconds", [])


def quotients(above: Rounds, below: Rounds) -> list[float]:
    """Divide round by round, over the rounds that both have."""
    return [numerator / denominator for numerator, denominator in zip(above, below, strict=False)]


def backward(found: Found, case: Case) -> list[float]:
    """Return the seconds of the gradient call minus those of the forward call, round by round."""
    both = (seconds(found, case._replace(passes=passes)) for passes in ("gradient", "forward"))
    return [gradient - forward for gradient, forward in zip(*both, strict=False)]


def targets(timed: Mapping[int, Found], held: Mapping[int, Found]) -> list[tuple[str, ...]]:
    """Compare the measurements with the targets.

    Args:
        timed: The times at each length.
        held: The memory of fresh processes.

    Returns:
        Rows of the quantity, its median and quartiles over the rounds, the target, and whether the
        median meets it. If 8,192 tokens were not measured, the longest length stands in.
    """
    tokens = _TARGET_TOKENS if _TARGET_TOKENS in timed else max(timed)
    rows = [
        (f"{tokens:,}: {what}", values, sign, bound)
        for what, values, sign, bound in _long(timed[tokens])
    ]
    for short in sorted(length for length in timed if length <= _SHORT):
        both = (seconds(timed[short], Case(who)) for who in ("auto", "jax.nn"))
        rows.append((f"{short:,}: `auto` / jax.nn", quotients(*both), "≤", 1.05))
    far = _mib(held.get(FAR_TOKENS, {}), FAR, "process")
    rows.append((f"{FAR_TOKENS:,}, one head, {FAR.name}: process, MiB", far, "≤", 1024.0))
    return [_target(*row) for row in rows]


def _long(found: Found) -> list[tuple[str, Rounds, str, float]]:
    ours, torch = seconds(found, _OURS), seconds(found, _TORCH)
    behind, theirs = backward(found, _OURS), backward(found, _TORCH)
    named = {
        name: quotients(seconds(found, case), ours)
        for name, case in {
            "causal": _OURS._replace(mask="causal"),
            "jax.nn": Case("jax.nn"),
            "all": Case("streaming + all"),
            "sums": Case("streaming + sums"),
            "entropy": Case("streaming + entropy"),
        }.items()
    }
    gradient = _OURS._replace(passes="gradient")
    return [
        ("jax.nn's forward / ours", named["jax.nn"], "≥", 8.0),
        ("forward / PyTorch's", quotients(ours, torch), "≤", 1.1),
        ("causal / full (aim 0.55)", named["causal"], "≤", 0.65),
        ("forward, temporaries, MiB", _mib(found, _OURS, "temporaries"), "≤", 64.0),
        ("backward / forward", quotients(behind, ours), "≤", 3.5),
        ("backward / PyTorch's", quotients(behind, theirs), "≤", 1.3),
        ("backward, temporaries, MiB", _mib(found, gradient, "temporaries"), "≤", 128.0),
        ("full summary / forward (aim 2.0)", named["all"], "≤", 3.0),
        ("summary without top-k / forward", named["sums"], "≤", 2.0),
        ("entropy and max logit / forward", named["entropy"], "≤", 1.2),
    ]


def _mib(found: Found, case: Case, key: str) -> Rounds:
    about = found.get(case, {})
    return [about[key] / MIB] if key in about else []


def _target(what: str, values: Rounds, sign: str, bound: float) -> tuple[str, ...]:
    target = f"{sign} {bound:g}"
    if not values:
        return what, NONE, target, NONE
    median = spread(values)["median"]
    measured = spread_text(values, ".2f") if len(values) > 1 else f"{median:.1f}"
    met = median <= bound if sign == "≤" else median >= bound
    return what, measured, target, "yes" if met else "no"
