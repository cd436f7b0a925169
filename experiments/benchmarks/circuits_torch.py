"""The PyTorch side of the benchmark `circuits`, which the peers' Python runs at a pipe's end."""

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch  # pyright: ignore[reportMissingImports]

sys.path.insert(0, str(Path(__file__).parent))

from pretrained_torch import lens, load  # pyright: ignore[reportMissingImports]

LAYER, HEADS, PATCHED = 6, 12, 24


class Sides:
    """GPT-2 as TransformerLens wraps it, and as transformers made it.

    Args:
        folder: The folder of its checkpoint.
        pair: The clean and the corrupted text.
    """

    def __init__(self, folder: str, pair: Any):
        self.model = load(folder, "lens")
        self.bridge = lens(self.model, folder)
        self.clean, self.corrupted = pair[:1], pair[1:]
        _, cache = self.bridge.run_with_cache(self.clean)
        self.donor = cache[f"blocks.{LAYER}.hook_resid_pre"]

    def loss(self, logits: Any) -> float:
        """Return the mean loss of all tokens but the first."""
        logs = logits[:, :-1].log_softmax(-1)
        return -logs.gather(-1, self.clean[:, 1:, None]).mean().item()

    def lens_ablation(self) -> list[float]:
        """Ablate the heads of a layer by TransformerLens."""
        name, values = f"blocks.{LAYER}.attn.hook_z", []
        for head in range(HEADS):

            def edit(z: Any, hook: Any, head: int = head) -> Any:
                z[:, :, head] = 0
                return z

            values.append(
                self.loss(self.bridge.run_with_hooks(self.clean, fwd_hooks=[(name, edit)]))
            )
        return values

    def lens_patching(self) -> list[float]:
        """Patch positions of a layer by TransformerLens."""
        name, values = f"blocks.{LAYER}.hook_resid_pre", []
        for position in range(PATCHED):

            def edit(x: Any, hook: Any, position: int = position) -> Any:
                x[:, position] = self.donor[:, position]
                return x

            logits = self.bridge.run_with_hooks(self.corrupted, fwd_hooks=[(name, edit)])
            values.append(_difference(logits))
        return values

    def hook_ablation(self) -> list[float]:
        """Ablate the heads of a layer by a loop of PyTorch's hooks."""
        out, values = self.model.transformer.h[LAYER].attn.c_proj, []
        size = out.weight.shape[0] // HEADS
        for head in range(HEADS):

            def edit(x: Any, head: int = head) -> Any:
                x = x.clone()
                x[..., head * size : (head + 1) * size] = 0
                return x

            with _editing(out, edit):
                values.append(self.loss(self.model(self.clean).logits))
        return values

    def hook_patching(self) -> list[float]:
        """Patch positions of a layer by a loop of PyTorch's hooks."""
        block, values = self.model.transformer.h[LAYER], []
        for position in range(PATCHED):

            def edit(x: Any, position: int = position) -> Any:
                x = x.clone()
                x[:, position] = self.donor[:, position]
                return x

            with _editing(block, edit):
                values.append(_difference(self.model(self.corrupted).logits))
        return values


@contextmanager
def _editing(module: Any, edit: Callable[[Any], Any]) -> Iterator[None]:
    handle = module.register_forward_pre_hook(lambda _, args: (edit(args[0]), *args[1:]))
    try:
        yield
    finally:
        handle.remove()


def _difference(logits: Any) -> float:
    return (logits[0, -1, 5] - logits[0, -1, 6]).item()


def main() -> None:
    """Load the model that the first line names, then run what each further line asks for."""
    first = json.loads(sys.stdin.readline())
    with torch.inference_mode():
        sides = Sides(first["folder"], torch.tensor(first["tokens"]))
        whole = sides.loss(sides.model(sides.clean).logits)
        print(json.dumps({}), flush=True)
        for line in sys.stdin:
            run = json.loads(line)["run"]
            start = time.process_time()
            values = getattr(sides, run.replace(" ", "_"))()
            seconds = time.process_time() - start
            if run.endswith("ablation"):
                values = [value - whole for value in values]
            print(json.dumps({"seconds": seconds, "values": values}), flush=True)


if __name__ == "__main__":
    main()
