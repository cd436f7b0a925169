"""The verbs of `attn_jax.circuits` on GPT-2 small, beside TransformerLens and a loop of hooks."""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from attn_jax import circuits, pretrained
from attn_jax.circuits.sites import Model
from attn_jax.hooks import Site, intervene
from experiments.benchmarks.peers import Peer, lens_python
from experiments.benchmarks.pretrained_models import GPT2, write_config
from experiments.benchmarks.record import Result, limit_cores, machine, write

PART = "circuits"
TOKENS, LAYERS, HEADS = 128, 12, 12
PATCHED, ROUNDS = 24, 2
LAYER = 6
"""The layer whose heads, or positions, the peers edit."""

TOLERANCE = 1e-4
_WHAT = f"""\
GPT-2 small's configuration with random weights, one text of {TOKENS} tokens. All {LAYERS * HEADS}
heads set to zero, one by one, with the loss of all tokens or the logits of the last one; and the
residual stream of each of {LAYERS} layers patched at {PATCHED} positions. Ours is one compiled
program, without the time to compile it; TransformerLens and a bare loop of PyTorch's hooks edit
one layer, and their time is scaled to {LAYERS}; so is ours where nothing is shared. Both sides run
in turn on the same core, the fewest CPU seconds of {ROUNDS} rounds (one of our patches); their
effects were compared."""


def loss(tokens: jax.Array) -> Callable[[jax.Array], jax.Array]:
    """Return the metric mean loss of all tokens but the first."""

    def metric(logits: jax.Array) -> jax.Array:
        logs = jax.nn.log_softmax(logits[:, :-1])
        return -jnp.take_along_axis(logs, tokens[:, 1:, None], -1).mean()

    return metric


def calls(model: pretrained.Pretrained, pair: np.ndarray) -> dict[str, Callable[[], Any]]:
    """Return what is timed of ours, each compiled once."""
    clean, corrupted = ({"tokens": jnp.asarray(tokens)[None]} for tokens in pair)
    metric, last = loss(clean["tokens"]), circuits.logit_difference(5, 6)
    apply: Any = model.model.apply

    def whole(variables: Any) -> Model:
        return lambda inputs: apply(variables, **inputs)

    def at_end(variables: Any) -> Model:
        return lambda inputs: apply(variables, **inputs, logits_at=jnp.array([-1]))

    def repeated(variables: Any) -> jax.Array:
        # A row for each head: nothing that lies before the edit is shared.
        rows = jnp.repeat(clean["tokens"], HEADS, 0)
        is_own = jnp.eye(HEADS, dtype=bool)[:, None, :, None]

        def edit(context: jax.Array, site: Site) -> jax.Array:
            return jnp.where(is_own, 0, context)

        edited = intervene(at_end(variables), {f"layers.{LAYER}.attention.context": edit})
        return jax.vmap(lambda logits: last(logits[None]))(edited({"tokens": rows}))

    programs = {
        "ablation, all logits": lambda v: circuits.ablate_heads(whole(v), clean, metric).values,
        "ablation, last logits": lambda v: circuits.ablate_heads(at_end(v), clean, last).values,
        "patching": lambda v: (
            circuits.activation_patching(
                at_end(v), clean, corrupted, last, positions=range(PATCHED)
            ).values
        ),
        "ablation, nothing shared": repeated,
        "attribution": lambda v: (
            circuits.attribution_patching(
                at_end(v), clean, corrupted, last, points=_POINTS, over=()
            ).values
        ),
        "forward": lambda v: last(at_end(v)(corrupted)),
    }
    compiled = {
        name: jax.jit(program).lower(model.variables).compile()
        for name, program in programs.items()
    }
    return {
        name: lambda run=run: jax.block_until_ready(run(model.variables))
        for name, run in compiled.items()
    }


_ATTENTION = ("query", "key", "value", "context")
_POINTS = [f"*.{name}" for name in ("residual", *_ATTENTION, "residual_mid", "mlp_hidden", "mlp")]
_PEER_RUNS = {
    "ablation, all logits": ("lens ablation", "hook ablation"),
    "ablation, last logits": ("lens ablation", "hook ablation"),
    "patching": ("lens patching", "hook patching"),
}


def main() -> None:
    """Measure everything and write the page."""
    limit_cores(1)
    pair = np.random.default_rng(0).integers(1000, 20000, (2, TOKENS)).astype(np.int32)
    pair[1, TOKENS // 2 :] = pair[0, TOKENS // 2 :]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_config(GPT2, folder)
        peer = Peer([lens_python(), Path(__file__).with_name("circuits_torch.py")])
        peer.ask({"folder": temporary, "tokens": pair.tolist()})
        ours, theirs = _times(calls(pretrained.load(folder), pair), peer)
        peer.close()
    _write(ours, theirs)


def _times(
    runs: dict[str, Callable[[], Any]], peer: Peer
) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    ours: dict[str, list[float]] = {name: [] for name in runs}
    theirs: dict[str, list[float]] = {}
    for round_ in range(ROUNDS):
        effects = {}
        for name, run in runs.items():
            if round_ and name == "patching":
                continue  # it is long enough to be timed once
            start = time.process_time()
            effects[name] = np.asarray(run())
            ours[name].append(time.process_time() - start)
        for run in sorted({run for pair in _PEER_RUNS.values() for run in pair}):
            answer = peer.ask({"run": run})
            theirs.setdefault(run, []).append(answer["seconds"])
            if not round_:
                _compare(effects, run, np.asarray(answer["values"]))
    return ours, theirs


def _compare(effects: dict[str, np.ndarray], run: str, expected: np.ndarray) -> None:
    """Compare the effects in the peers' layer."""
    name = "patching" if run.endswith("patching") else "ablation, all logits"
    difference = np.abs(effects[name][LAYER] - expected).max()
    if not difference <= TOLERANCE * max(1, np.abs(expected).max()):
        raise RuntimeError(f"{run}: effects differ by {difference:.2g}.")


def _write(ours: dict[str, list[float]], theirs: dict[str, list[float]]) -> None:
    best = {name: min(times) for name, times in ours.items()}
    limits = {"ablation, all logits": "3.5", "ablation, last logits": "6", "patching": "3.5"}
    rows = []
    for name, peers in _PEER_RUNS.items():
        for run in peers:
            whole = min(theirs[run]) * LAYERS
            peer = "TransformerLens" if run.startswith("lens") else "PyTorch's hooks in a loop"
            limit = limits[name] if run.startswith("lens") else ""
            rows.append((name, f"{whole / best[name]:.1f} × faster", peer, limit))
    shared = best["ablation, nothing shared"] * LAYERS / best["ablation, last logits"]
    rows.append(("ablation, last logits", f"{shared:.2f} × faster", "nothing shared", "1.5"))
    cost = best["attribution"] / best["forward"]
    rows.append(("attribution patching", f"{cost:.1f} × the time", "a forward pass", "at most 5"))
    write(
        Result(
            part=PART,
            title="Circuits",
            what=" ".join(_WHAT.splitlines()),
            header=("verb", "ratio", "compared with", "limit"),
            rows=rows,
            data={"ours": ours, "theirs": theirs},
            where=machine(),
        )
    )


if __name__ == "__main__":
    main()
