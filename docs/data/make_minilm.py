"""Write minilm.npz, the maps that the first page shows: `python docs/data/make_minilm.py`."""

from pathlib import Path

import jax
import numpy as np

from attn_jax import hooks, pretrained

SENTENCE = "The cat sat on the mat because it was tired."


def main() -> None:
    """Let MiniLM read the sentence, and store its tokens and its maps in half precision."""
    model = pretrained.load("minilm")
    inputs = model.encode([SENTENCE])
    _, captured = jax.jit(hooks.capture(model.model.apply, "*.weights"))(model.variables, **inputs)
    maps = [captured[f"layers.{i}.attention.weights"][0] for i in range(len(captured))]
    np.savez_compressed(
        Path(__file__).with_name("minilm.npz"),
        tokens=model.tokenizer.shown(inputs["tokens"][0].tolist()),
        maps=np.stack(maps).astype(np.float16),
    )


if __name__ == "__main__":
    main()
