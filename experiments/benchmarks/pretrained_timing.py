"""Models beside their peers, in turn, after their values were compared."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from attn_jax import pretrained
from attn_jax.hooks import capture
from experiments.benchmarks.peers import Peer, lens_python, peers_python
from experiments.benchmarks.pretrained_models import LENS_NAMES, Timed, write_config

ROUNDS = 25
TOLERANCE = 2e-5
_SCRIPT = Path(__file__).with_name("pretrained_torch.py")
_MASKED = -1e30


def compare(timed: Timed, folder: Path) -> dict[str, dict[str, Any]]:
    """Time both sides in turn; return the seconds and the ratio of each run.

    Args:
        timed: The model, and what is timed of it.
        folder: The folder of its checkpoint; one for random weights if it has a configuration.

    Raises:
        RuntimeError: If the two sides do not compute the same.
    """
    if timed.config is not None:
        write_config(timed.config, folder)
    peer = Peer([_python(timed.peer), _SCRIPT])
    peer.ask({"folder": str(folder), "peer": timed.peer, "tokens": timed.tokens.tolist()})
    calls = programs(pretrained.load(folder), timed)
    for name, call in calls.items():
        theirs = np.asarray(peer.ask({"run": name, "probe": True})["output"])
        _check("logits", np.asarray(jax.tree.leaves(call())[0])[0, -1], theirs)
    if timed.peer == "lens":
        _check_all(peer, calls["with all that TransformerLens keeps"]()[1], folder)
    times = _times(calls, peer, timed)
    peer.close()
    return times


def programs(model: pretrained.Pretrained, timed: Timed) -> dict[str, Callable[[], Any]]:
    """Return the calls that are timed."""
    tokens, apply = jnp.asarray(timed.tokens), model.model.apply
    seen = {
        "forward": apply,
        "with all weights": capture(apply, "*.weights"),
        "with all that TransformerLens keeps": capture(apply, list(LENS_NAMES)),
    }
    # GPT-2's plain forward has no peer: what is kept is compared with it too.
    jitted = {name: jax.jit(seen[name]) for name in ("forward", *timed.limits)}
    return {
        name: lambda run=run: jax.block_until_ready(run(model.variables, tokens=tokens))
        for name, run in jitted.items()
    }


def _times(
    calls: dict[str, Callable[[], Any]], peer: Peer, timed: Timed
) -> dict[str, dict[str, Any]]:
    ours: dict[str, list[float]] = {name: [] for name in calls}
    theirs: dict[str, list[float]] = {name: [] for name in timed.limits}
    for _ in range(ROUNDS):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            ours[name].append(time.perf_counter() - start)
            if name in theirs:
                theirs[name].append(peer.ask({"run": name})["seconds"])
    # Other work on the machine only ever adds, so the fastest rounds are compared.
    plain = min(ours["forward"])
    return {
        name: {
            "seconds": [ours[name], theirs[name]],
            "ratio": min(ours[name]) / min(theirs[name]),
            "to forward": min(ours[name]) / plain,
        }
        for name in timed.limits
    }


def _python(peer: str) -> Path:
    return lens_python() if peer == "lens" else peers_python()


def _check_all(peer: Peer, captured: dict[str, Any], folder: Path) -> None:
    """Compare every value that TransformerLens keeps."""
    path = folder / "kept.npz"
    peer.ask({"run": "forward", "save": str(path)})
    kept = np.load(path)
    for ours, theirs in LENS_NAMES.items():
        expected = kept[theirs]
        exists = expected > _MASKED  # the scores of keys that come later
        actual = np.broadcast_to(captured[ours], expected.shape)
        _check(ours, actual[exists], expected[exists])


def _check(name: str, ours: np.ndarray, theirs: np.ndarray) -> None:
    difference = float(np.abs(ours - theirs).max())
    if not difference <= TOLERANCE * max(1, np.abs(theirs).max()):
        raise RuntimeError(f"{name} differs by {difference:.2g}: no comparison of speed.")
