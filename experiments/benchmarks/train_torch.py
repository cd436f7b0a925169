"""The PyTorch side of the benchmark `train`, which the peers' Python runs at the end of a pipe.

The models are written in the usual way of PyTorch. They take the parameters of the JAX models, and
their logits must be equal. The data is held in tensors, without a DataLoader.
"""

import json
import math
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch  # pyright: ignore[reportMissingImports]
from torch import nn  # pyright: ignore[reportMissingImports]
from torch.nn import functional  # pyright: ignore[reportMissingImports]

Arrays = Mapping[str, np.ndarray]


class Rows(nn.Module):
    """Each row of the image is a token: one layer, with a bias for each row."""

    def __init__(self, arrays: Arrays):
        super().__init__()
        self.embed = linear(arrays["stem/Dense_0/kernel"])
        self.bias = parameter(arrays["stem/bias"][:, 0])

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map images (n, 28, 28) to tokens (n, 28, features)."""
        return torch.relu(self.embed(images) + self.bias)


class Patches(nn.Module):
    """Strided convolutions, padded as JAX's "SAME"."""

    def __init__(self, arrays: Arrays, sizes: Sequence[int], strides: Sequence[int]):
        super().__init__()
        self.layers, self.norms, self.pads, side = nn.ModuleList(), nn.ModuleList(), [], 28
        self.residual = "stem/LayerNorm_0/scale" in arrays
        for at, (size, stride) in enumerate(zip(sizes, strides, strict=True)):
            self.layers.append(convolution(arrays, f"stem/Dense_{at}", size, stride))
            if self.residual:
                self.norms.append(norm(arrays, f"stem/LayerNorm_{at}"))
            after = -(-side // stride)
            missing = max(0, (after - 1) * stride + size - side)
            self.pads.append((missing // 2, missing - missing // 2) * 2)
            side = after

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map images (n, 28, 28) to tokens (n, tokens, features)."""
        x = images[:, None]
        for at, (layer, pad) in enumerate(zip(self.layers, self.pads, strict=True)):
            made = layer(functional.pad(x, pad))
            if self.residual:
                made = self.norms[at](made.movedim(1, -1)).movedim(-1, 1)
            made = torch.relu(made)
            x = made + x if self.residual and made.shape == x.shape else made
        return x.flatten(2).transpose(1, 2)


class Classifier(nn.Module):
    """A stem, additive attention of a learned query over its tokens, and a linear layer."""

    def __init__(self, settings: Mapping[str, Any], arrays: Arrays):
        super().__init__()
        rows = "stem/bias" in arrays
        self.stem = (
            Rows(arrays) if rows else Patches(arrays, settings["sizes"], settings["strides"])
        )
        self.position = positions(arrays["position"]) if "position" in arrays else None
        has_norm = "LayerNorm_0/scale" in arrays
        self.norm = norm(arrays, "LayerNorm_0") if has_norm else nn.Identity()
        self.query = parameter(arrays["pooling/query"])
        self.w_query = linear(arrays["attention/w_query"])
        self.w_key = linear(arrays["attention/w_key"])
        self.v = parameter(arrays["attention/v"])
        self.dropout = nn.Dropout(settings["dropout_rate"])
        has_hidden = "hidden/kernel" in arrays
        self.hidden = linear(arrays["hidden/kernel"], arrays["hidden/bias"]) if has_hidden else None
        self.head = linear(arrays["head/kernel"], arrays["head/bias"])

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map images (n, 28, 28) to logits."""
        tokens = self.stem(images)
        tokens = self.norm(tokens if self.position is None else tokens + self.position)
        scores = torch.tanh(self.w_query(self.query) + self.w_key(tokens)) @ self.v
        weights = torch.softmax(scores, dim=-1)
        pooled = torch.bmm(weights[:, None], tokens)[:, 0]
        pooled = self.dropout(pooled)
        if self.hidden is not None:
            pooled = self.dropout(torch.relu(self.hidden(pooled)))
        return self.head(pooled)


def positions(array: np.ndarray) -> nn.Parameter:
    """Return a row with a vector for each token of a grid."""
    return parameter(array.reshape(-1, array.shape[-1]))


def norm(arrays: Arrays, name: str) -> nn.LayerNorm:
    """Flax's layer normalization, whose epsilon differs from PyTorch's."""
    layer = nn.LayerNorm(len(arrays[f"{name}/scale"]), eps=1e-6)
    layer.weight = parameter(arrays[f"{name}/scale"])
    layer.bias = parameter(arrays[f"{name}/bias"])
    return layer


def parameter(array: np.ndarray) -> nn.Parameter:
    """Return a parameter with this initial value."""
    return nn.Parameter(torch.from_numpy(array.copy()))


def linear(kernel: np.ndarray, bias: np.ndarray | None = None) -> nn.Linear:
    """Return a layer with this initial kernel (d_in, d_out) and bias."""
    layer = nn.Linear(*kernel.shape, bias=bias is not None)
    layer.weight = parameter(np.ascontiguousarray(kernel.T))
    if bias is not None:
        layer.bias = parameter(bias)
    return layer


def convolution(arrays: Arrays, name: str, size: int, stride: int) -> nn.Conv2d:
    """Return a convolution that initially equals a dense layer on patches."""
    kernel, bias = arrays[f"{name}/kernel"], arrays[f"{name}/bias"]
    kernel = kernel.reshape(size, size, -1, kernel.shape[-1]).transpose(3, 2, 0, 1)
    layer = nn.Conv2d(kernel.shape[1], kernel.shape[0], size, stride)
    layer.weight, layer.bias = parameter(np.ascontiguousarray(kernel)), parameter(bias)
    return layer


def shifted(images: torch.Tensor, most: int) -> torch.Tensor:
    """Shift each image by a random number of pixels."""
    corners = torch.randint(0, 2 * most + 1, (2, len(images), 1))
    rows, columns = corners + torch.arange(images.shape[-1])
    padded = functional.pad(images, (most,) * 4)
    return padded[torch.arange(len(images))[:, None, None], rows[:, :, None], columns[:, None]]


def warped(images: torch.Tensor, strength: float) -> torch.Tensor:
    """Rotate, scale, shear and bend each image (n, 28, 28) at random, as `random_warp` does."""
    n, side = len(images), images.shape[-1]
    rotation, shear, *zoom = strength * (2 * torch.rand(4, n) - 1)
    rotation, shear = rotation * math.pi / 18, shear * 0.1
    wider, higher = (1 + 0.1 * each for each in zoom)
    zero = torch.zeros(n)
    lines = torch.stack([wider, shear - rotation, zero, rotation, higher, zero], -1)
    grid = functional.affine_grid(lines.reshape(n, 2, 3), (n, 1, side, side), align_corners=False)
    bends = strength * 0.8 * torch.randn(n, 2, 4, 4) * 2 / side
    bends = functional.interpolate(bends, (side, side), mode="bicubic").movedim(1, -1)
    return functional.grid_sample(images[:, None], grid + bends, align_corners=False)[:, 0]


def trainer(settings: Mapping[str, Any], arrays: Arrays) -> tuple[Classifier, Callable[[], dict]]:
    """Make the model and the function that trains it for one epoch.

    Args:
        settings: `batch_size`, `learning_rate`, `weight_decay`, `clip_norm`, `shift`,
            `warp`, `dropout_rate` and, for patches, `sizes` and `strides`.
        arrays: The parameters, `images` and `labels`.

    Returns:
        The model, and a function to the seconds, mean loss and accuracy of an epoch.
    """
    model = Classifier(settings, arrays)
    images, labels = (torch.from_numpy(arrays[name]) for name in ("images", "labels"))
    labels = labels.long()
    # The fused optimizer is the fastest of PyTorch's three here.
    optimizer = torch.optim.AdamW(
        model.parameters(),
        lr=settings["learning_rate"],
        weight_decay=settings["weight_decay"],
        fused=True,
    )

    def step(chosen: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        batch = images[chosen]
        if settings["shift"]:
            batch = shifted(batch, settings["shift"])
        target = labels[chosen]
        batch = batch.float() / 255
        if settings["warp"]:
            batch = warped(batch, settings["warp"])
        logits = model(batch)
        loss = functional.cross_entropy(logits, target)
        optimizer.zero_grad()
        loss.backward()
        if settings["clip_norm"]:
            nn.utils.clip_grad_norm_(model.parameters(), settings["clip_norm"])
        optimizer.step()
        return loss.detach(), (logits.argmax(-1) == target).sum()

    def epoch() -> dict[str, float]:
        began, loss, correct = time.perf_counter(), torch.zeros(()), torch.zeros(())
        batches = whole_batches(len(images), settings["batch_size"])
        for chosen in batches:
            batch_loss, batch_correct = step(chosen)
            loss += batch_loss
            correct += batch_correct
        means = {
            "loss": (loss / len(batches)).item(),
            "accuracy": (correct / batches.numel()).item(),
        }
        return {"seconds": time.perf_counter() - began, **means}

    return model, epoch


def whole_batches(size: int, batch_size: int) -> torch.Tensor:
    """Shuffle the examples into batches (batches, batch_size), leaving out an incomplete one."""
    whole = size // batch_size
    return torch.randperm(size)[: whole * batch_size].reshape(whole, batch_size)


def fastest_threads(settings: Mapping[str, Any], arrays: Arrays) -> int:
    """Return how many threads PyTorch is fastest with: for small models it may be one.

    Args:
        settings: As for `trainer`, and `threads`, the most.
        arrays: As for `trainer`.

    Returns:
        The number with which a few steps took least.
    """
    few = {name: array[: 100 * settings["batch_size"]] for name, array in _examples(arrays).items()}
    seconds = {}
    for threads in range(1, settings["threads"] + 1):
        torch.set_num_threads(threads)
        _, epoch = trainer(settings, {**arrays, **few})
        seconds[threads] = sum(epoch()["seconds"] for _ in range(3))
    return min(seconds, key=seconds.__getitem__)


def _examples(arrays: Arrays) -> Arrays:
    return {name: arrays[name] for name in ("images", "labels")}


def main() -> None:
    """Answer each line of standard input with a line of standard output, both JSON."""
    settings = json.loads(sys.stdin.readline())
    arrays = dict(np.load(settings["arrays"]))
    threads = fastest_threads(settings, arrays)
    torch.set_num_threads(threads)
    model, epoch = trainer(settings, arrays)
    with torch.no_grad():
        model.eval()
        logits = model(torch.from_numpy(arrays["images"][: len(arrays["logits"])]).float() / 255)
    model.train()
    difference = float(np.abs(logits.numpy() - arrays["logits"]).max())
    ready = {"version": torch.__version__, "difference": difference, "threads": threads}
    print(json.dumps(ready), flush=True)
    for _ in sys.stdin:
        print(json.dumps(epoch()), flush=True)


if __name__ == "__main__":
    main()
