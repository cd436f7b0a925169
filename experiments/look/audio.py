"""A recording that a model writes down: where it listens for each word."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from attn_jax import hooks
from attn_jax.pretrained import Pretrained
from attn_jax.pretrained.reading.sounds import read_sound
from experiments.look.audio_sheets import draw_sheets
from experiments.look.listening import RATE, Listening, words_of
from experiments.look.look import Choice, Look, Text
from experiments.look.running import by_number, parameters

_TOKENS_PER_SECOND = 10  # twice as many as in quick speech
_JUDGMENT = (
    "There is no report card: the model predicts at every token, and a card judges one prediction. "
    "{heads} The maps of the encoder, from every moment to every moment, are too large for a page: "
    'hooks.capture(model, "encoder.*.weights") has them.'
)
_CHOSEN = "The heads that align the words were chosen by the model's makers."
_LATER = (
    "The checkpoint names no heads that align, so the words are aligned by all heads of the later "
    "half of the layers, which is less exact."
)


def look_at_sound(model: Pretrained, path: Path, choice: Choice) -> Look:
    """Let a model write down a recording, and capture the attention of its decoder.

    Args:
        model: A speech recognizer.
        path: A WAV file.
        choice: The map in the figures, of the attention to the sound.

    Returns:
        The content of the page.

    Raises:
        PretrainedError: If the file is no sound, empty or too long.
        ValueError: If there is no such layer or head.
    """
    inputs, samples = model.encode([path]), read_sound(path, target=RATE)
    prompt, frames = inputs["decoder_tokens"].shape[1], inputs["mel"].shape[-1] // 2
    steps = 20 + _TOKENS_PER_SECOND * len(samples) // RATE
    steps = min(steps, model.tokenizer.limit - prompt, frames)
    tokens, lengths = model.generate(inputs, steps)
    tokens = np.asarray(tokens)[0, : int(lengths[0])]
    # The last token is written, and not read.
    inputs = {"mel": np.asarray(inputs["mel"]), "decoder_tokens": tokens[None, :-1]}
    captured = _capture(model, inputs)
    heads, judgment = _alignment_heads(model, captured)
    listening = _listening(model, samples, tokens, prompt, captured, heads)
    choice = choice.checked(*listening.maps.shape[:2])
    starts = np.array([word.start for word in listening.timed])
    return Look(
        headline=[
            ("layers × heads", " × ".join(map(str, listening.maps.shape[:2]))),
            ("seconds", f"{listening.seconds:.1f}"),
            ("words", str(len(listening.words))),
            ("parameters", parameters(model)),
        ],
        sheets=draw_sheets(listening, choice),
        captured={**captured, **inputs, "word_starts": starts},
        judgment=_JUDGMENT.format(heads=judgment),
        inputs_code=(
            f"inputs = model.encode([{str(path)!r}])\n"
            f"tokens, lengths = model.generate(inputs, {steps})\n"
            'inputs["decoder_tokens"] = tokens[:, : int(lengths[0]) - 1]'
        ),
        texts=[
            Text(
                "What it wrote", model.tokenizer.decode(tokens.tolist()).strip(), listening.written
            )
        ],
        facts=[
            ("recording", path.name),
            ("length", f"{listening.seconds:.2f} s"),
            ("aligned by layer.head", ", ".join(f"{layer}.{head}" for layer, head in heads)),
        ],
    )


def _capture(model: Pretrained, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the weights of the decoder by hook point, layer by layer."""
    run = jax.jit(hooks.capture(model.model.apply, "decoder.*.weights"))
    _, captured = run(model.variables, **inputs)
    return {name: np.asarray(captured[name]) for name in sorted(captured, key=by_number)}


def _alignment_heads(
    model: Pretrained, captured: Mapping[str, np.ndarray]
) -> tuple[list[tuple[int, int]], str]:
    """Return the layers and heads that align, and who says so."""
    reader: Any = model.reader
    chosen = reader.generation.get("alignment_heads")
    if chosen:
        return [(layer, head) for layer, head in chosen], _CHOSEN
    layers, heads = _stacked(captured, ".cross_attention.weights").shape[:2]
    later = range(layers // 2, layers)
    return [(layer, head) for layer in later for head in range(heads)], _LATER


def _stacked(captured: Mapping[str, np.ndarray], ending: str) -> np.ndarray:
    return np.stack([weights[0] for name, weights in captured.items() if name.endswith(ending)])


def _listening(
    model: Pretrained,
    samples: np.ndarray,
    tokens: np.ndarray,
    prompt: int,
    captured: Mapping[str, np.ndarray],
    heads: Sequence[tuple[int, int]],
) -> Listening:
    reader: Any = model.reader
    shown, written = model.tokenizer.shown(tokens.tolist()), tokens[prompt:].tolist()
    has_ended = written[-1] == model.tokenizer.pad
    text = written[:-1] if has_ended else written
    return Listening(
        samples=samples,
        frame=2 * reader.hop,
        written=shown[prompt:],
        read=shown[:-1],
        words=words_of(model.tokenizer, text),
        length=len(text),
        # The row of a token holds the weights with which the next one was written.
        over_sound=_stacked(captured, ".cross_attention.weights")[:, :, prompt - 1 :],
        over_text=_stacked(captured, ".attention.weights"),
        heads=heads,
    )
