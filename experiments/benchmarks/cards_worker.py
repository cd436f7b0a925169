"""A table of cards, or one card, of SmolLM2 in a process of its own; prints what it took."""

import json
import resource
import sys
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from attn_jax import measure, pretrained

LAYER, HEAD = 15, 0
WORDS = (
    "river lamp seven yellow chair garden winter paper silver engine mountain letter window orange "
    "bottle market doctor planet summer bridge island camera forest ticket piano coffee shadow"
)


def prompts(model: pretrained.Pretrained, count: int, length: int) -> tuple[np.ndarray, np.ndarray]:
    """Return prompts of words that repeat themselves, and the word with which each goes on."""
    nouns = [model.encode([f" {noun}"])["tokens"][0, 0] for noun in WORDS.split()]
    rng, period = np.random.default_rng(0), 26
    drawn = np.stack([rng.permutation(nouns)[:period] for _ in range(count)]).astype(np.int32)
    text = np.tile(drawn, (1, length // period + 1))
    return text[:, :length], text[:, length]


def judge(what: str, count: int, length: int) -> str:
    """Make all heads' cards by the cheap lines (`"table"`), or the card of one head."""
    model = pretrained.load("smollm2")
    tokens, answer = prompts(model, count, length)
    apply: Any = model.model.apply

    def continued(inputs: Any) -> Any:
        last = jnp.array([-1])
        return apply(inputs["variables"], inputs["tokens"], logits_at=last)[:, 0]

    inputs = {"tokens": tokens, "variables": model.variables}
    if what == "table":
        return str(measure.report_cards(continued, inputs, target=answer, query=-1))
    chosen = {"layers": [LAYER], "heads": [HEAD], "adversarial": False}
    return str(measure.report_card(continued, inputs, target=answer, query=-1, **chosen))


def main(what: str, count: str, length: str) -> None:
    """Print the result, and then what it took in a line of JSON."""
    start, compiled = time.perf_counter(), [0.0]
    jax.monitoring.register_event_duration_secs_listener(
        lambda event, duration_secs, **_: compiled.append(time.process_time())
    )
    print(judge(what, int(count), int(length)))
    used = resource.getrusage(resource.RUSAGE_SELF)
    took = {
        "seconds": time.perf_counter() - start,
        "cpu seconds": used.ru_utime + used.ru_stime,
        "of them before the run": compiled[-1],
        "bytes": used.ru_maxrss * (1 if sys.platform == "darwin" else 1024),
    }
    print(json.dumps(took))


if __name__ == "__main__":
    main(*sys.argv[1:])
