"""What the benchmark `attention` is asked to show, beside what was measured."""

from collections.abc import Mapping, Sequence

from experiments.benchmarks.attention_cases import FAR, FAR_TOKENS, MIB, Case
from experiments.benchmarks.attention_measure import Found
from experiments.benchmarks.record import spread, spread_text

NONE = "–"
_ASKED_AT, _SHORT = 8192, 512
_OURS, _TORCH = Case("streaming"), Case("PyTorch sdpa")
Rounds = Sequence[float]


def seconds(found: Found, case: Case) -> Rounds:
    """The seconds of each round; none where the case was not measured."""
    return found.get(case, {}).get("seconds", [])


def quotients(above: Rounds, below: Rounds) -> list[float]:
    """Divides round by round; where one side had fewer rounds, the rest is left out."""
    return [one / other for one, other in zip(above, below, strict=False)]


def backward(found: Found, case: Case) -> list[float]:
    """The seconds of the gradient call less those of the forward call, round by round."""
    both = (seconds(found, case._replace(passes=passes)) for passes in ("gradient", "forward"))
    return [gradient - forward for gradient, forward in zip(*both, strict=False)]


def targets(timed: Mapping[int, Found], held: Mapping[int, Found]) -> list[tuple[str, ...]]:
    """Compares what was measured with what is asked.

    Args:
        timed: What was found at each length.
        held: What fresh processes needed.

    Returns:
        Rows of what, measured (the median and the quartiles of the rounds), asked, and whether the
        median meets it. Where 8,192 tokens were not measured, the most tokens stand for them.
    """
    at = _ASKED_AT if _ASKED_AT in timed else max(timed)
    rows = [
        (f"{at:,}: {what}", values, sign, bound) for what, values, sign, bound in _long(timed[at])
    ]
    for short in sorted(tokens for tokens in timed if tokens <= _SHORT):
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
    asked = f"{sign} {bound:g}"
    if not values:
        return what, NONE, asked, NONE
    median = spread(values)["median"]
    shown = spread_text(values, ".2f") if len(values) > 1 else f"{median:.1f}"
    met = median <= bound if sign == "≤" else median >= bound
    return what, shown, asked, "yes" if met else "no"
