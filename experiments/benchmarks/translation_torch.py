"""The PyTorch side of the benchmark `translation`, which the peers' Python runs at a pipe's end.

The model is written in the usual way of PyTorch: a packed `nn.GRU` as encoder, a loop over a
`GRUCell` as decoder, keys that are projected once. It takes the parameters of the JAX model, and
its logits must be equal.
"""

import json
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch  # pyright: ignore[reportMissingImports]
from torch import nn  # pyright: ignore[reportMissingImports]
from torch.nn import functional  # pyright: ignore[reportMissingImports]
from torch.nn.utils import rnn  # pyright: ignore[reportMissingImports]

Arrays = Mapping[str, np.ndarray]
BEGIN, END = 1, 2


class Translator(nn.Module):
    """Bahdanau's translator: a bidirectional GRU, and additive attention before each step."""

    def __init__(self, arrays: Arrays):
        super().__init__()
        self.source = embedding(arrays["source_embedding/embedding"])
        self.target = embedding(arrays["target_embedding/embedding"])
        sizes = arrays["encoder/GRUCell_0/in/kernel"].shape
        self.encoder = nn.GRU(*sizes, bidirectional=True, batch_first=True)
        for suffix, number in (("", 0), ("_reverse", 1)):
            for name, tensor in gru(arrays, f"encoder/GRUCell_{number}").items():
                getattr(self.encoder, f"{name}_l0{suffix}").data.copy_(tensor)
        inputs, features = arrays["decoder/recurrence/in/kernel"].shape
        self.cell = nn.GRUCell(inputs, features)
        for name, tensor in gru(arrays, "decoder/recurrence").items():
            getattr(self.cell, name).data.copy_(tensor)
        self.key = linear(arrays, "decoder/key")
        self.initial = linear(arrays, "decoder/initial")
        self.readout = linear(arrays, "decoder/readout")
        self.head = linear(arrays, "head")
        self.w_query = parameter(arrays["decoder/attention/w_query"])
        self.v = parameter(arrays["decoder/attention/v"])

    def read(self, source: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Return the encoder's states, the projected keys, the mask and the first decoder state."""
        mask = source > 0
        packed = rnn.pack_padded_sequence(
            self.source(source), mask.sum(-1), batch_first=True, enforce_sorted=False
        )
        states, _ = self.encoder(packed)
        states, _ = rnn.pad_packed_sequence(states, batch_first=True, total_length=source.shape[1])
        backward = states[:, 0, states.shape[-1] // 2 :]
        first = torch.tanh(self.initial(backward))
        return states, self.key(states), mask, first

    def step(
        self, memory: Sequence[torch.Tensor], state: torch.Tensor, embedded: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Take a step; return the new state, and the features of the next token."""
        states, keys, mask = memory
        scores = torch.tanh((state @ self.w_query)[:, None] + keys) @ self.v
        weights = torch.softmax(scores.masked_fill(~mask, -torch.inf), dim=-1)
        context = torch.bmm(weights[:, None], states)[:, 0]
        state = self.cell(torch.cat([embedded, context], dim=-1), state)
        return state, torch.cat([state, embedded, context], dim=-1)

    def logits(self, features: torch.Tensor) -> torch.Tensor:
        """Return logits, by maxout."""
        pairs = self.readout(features)
        return self.head(pairs.view(*pairs.shape[:-1], -1, 2).amax(-1))

    def forward(self, source: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Map source and target tokens to logits (n, t, v)."""
        *memory, state = self.read(source)
        embedded = self.target(functional.pad(target[:, :-1], (1, 0), value=BEGIN))
        features = []
        for token in embedded.unbind(1):
            state, feature = self.step(memory, state, token)
            features.append(feature)
        return self.logits(torch.stack(features, dim=1))

    @torch.no_grad()
    def greedy(self, source: torch.Tensor, longest: int) -> torch.Tensor:
        """Write the most likely token at each step, until all sentences have ended."""
        *memory, state = self.read(source)
        token = torch.full((len(source),), BEGIN)
        ended, written = torch.zeros(len(source), dtype=torch.bool), []
        for _ in range(longest):
            state, feature = self.step(memory, state, self.target(token))
            token = self.logits(feature).argmax(-1).masked_fill(ended, 0)
            written.append(token)
            ended |= token == END
            if ended.all():
                break
        tokens = torch.stack(written, dim=1)
        return functional.pad(tokens, (0, longest - tokens.shape[1]))


def parameter(array: np.ndarray) -> nn.Parameter:
    """Return a parameter with this initial value."""
    return nn.Parameter(torch.from_numpy(array.copy()))


def embedding(array: np.ndarray) -> nn.Embedding:
    """Return an embedding table with this initial value."""
    return nn.Embedding.from_pretrained(torch.from_numpy(array.copy()), freeze=False)


def linear(arrays: Arrays, name: str) -> nn.Linear:
    """Return a layer with this initial kernel (d_in, d_out) and, if given, bias."""
    kernel, bias = arrays[f"{name}/kernel"], arrays.get(f"{name}/bias")
    layer = nn.Linear(*kernel.shape, bias=bias is not None)
    layer.weight = parameter(np.ascontiguousarray(kernel.T))
    if bias is not None:
        layer.bias = parameter(bias)
    return layer


def gru(arrays: Arrays, name: str) -> dict[str, torch.Tensor]:
    """Return Flax's three gates as PyTorch's matrices, whose additional biases start at zero."""

    def joined(leaf: str, *gates: str) -> np.ndarray:
        return np.concatenate([arrays[f"{name}/{gate}/{leaf}"].T for gate in gates])

    inner = arrays[f"{name}/hn/bias"]
    found = {
        "weight_ih": joined("kernel", "ir", "iz", "in"),
        "weight_hh": joined("kernel", "hr", "hz", "hn"),
        "bias_ih": joined("bias", "ir", "iz", "in"),
        "bias_hh": np.concatenate([np.zeros_like(inner), np.zeros_like(inner), inner]),
    }
    return {key: torch.from_numpy(np.ascontiguousarray(value)) for key, value in found.items()}


def buckets_of(arrays: Arrays, split: str) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Return the sources and targets of a split's buckets."""
    count = sum(name.startswith(f"{split}/") for name in arrays) // 2
    return [
        tuple(
            torch.from_numpy(arrays[f"{split}/{i}/{side}"]).long() for side in ("source", "target")
        )
        for i in range(count)
    ]


class Trainer:
    """Train the model epoch by epoch.

    Args:
        settings: `batch_size`, `weight_decay`, `clip_norm`.
        arrays: The parameters, the buckets of the training split, and `schedule`, the learning rate
            by step.
    """

    def __init__(self, settings: Mapping[str, Any], arrays: Arrays):
        self.model = Translator(arrays)
        self.settings, self.schedule = settings, arrays["schedule"]
        self.buckets = buckets_of(arrays, "train")
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(), weight_decay=settings["weight_decay"], fused=True
        )
        self.done = 0

    def epoch(self, most: int | None = None) -> dict[str, float]:
        """Take each example once, leaving out incomplete batches."""
        began, loss, tokens = time.perf_counter(), torch.zeros(()), 0
        size = self.settings["batch_size"]
        batches = [
            (bucket, rows)
            for bucket, (source, _) in enumerate(self.buckets)
            for rows in torch.randperm(len(source)).split(size)
            if len(rows) == size
        ]
        batches = [batches[i] for i in torch.randperm(len(batches))][:most]
        for bucket, rows in batches:
            source, target = (side[rows] for side in self.buckets[bucket])
            count = int((target > 0).sum())
            loss += count * self._step(source, target)
            tokens += count
        seconds = time.perf_counter() - began
        return {
            "seconds": seconds,
            "examples": len(batches) * size,
            "loss": (loss / tokens).item(),
        }

    def _step(self, source: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        rate = float(self.schedule[min(self.done, len(self.schedule) - 1)])
        self.optimizer.param_groups[0]["lr"] = rate
        self.done += 1
        logits = self.model(source, target)
        loss = functional.cross_entropy(logits.flatten(0, 1), target.flatten(), ignore_index=0)
        self.optimizer.zero_grad()
        loss.backward()
        if self.settings["clip_norm"]:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.settings["clip_norm"])
        self.optimizer.step()
        return loss.detach()


def fastest_threads(settings: Mapping[str, Any], arrays: Arrays) -> int:
    """Return how many threads PyTorch is fastest with, over a few steps."""
    seconds = {}
    for threads in range(1, settings["threads"] + 1):
        torch.set_num_threads(threads)
        trainer = Trainer(settings, arrays)
        trainer.epoch(2)
        seconds[threads] = trainer.epoch(8)["seconds"]
    return min(seconds, key=seconds.__getitem__)


def main() -> None:
    """Answer each line of standard input with a line of standard output, both JSON."""
    settings = json.loads(sys.stdin.readline())
    arrays = dict(np.load(settings["arrays"]))
    threads = fastest_threads(settings, arrays)
    torch.set_num_threads(threads)
    torch.manual_seed(settings["seed"])
    trainer = Trainer(settings, arrays)
    with torch.no_grad():
        source, target = (
            torch.from_numpy(arrays[f"checked/{side}"]).long() for side in ("source", "target")
        )
        difference = np.abs(trainer.model(source, target).numpy() - arrays["logits"]).max()
    about = {"version": torch.__version__, "threads": threads, "difference": float(difference)}
    print(json.dumps(about), flush=True)
    for line in sys.stdin:
        question = json.loads(line)
        if question == "epoch":
            answer = trainer.epoch()
        else:
            written = [
                trainer.model.greedy(source, settings["longest"]).tolist()
                for source, _ in buckets_of(arrays, "test")
            ]
            answer = {"written": written}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
