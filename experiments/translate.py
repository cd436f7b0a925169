"""Translate with a trained run, and see what it looked at: `python -m experiments.translate`."""

import dataclasses
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro

from attn_jax.tasks.translation.tokens import END, UNKNOWN
from experiments.command import EXPECTED, reopen_experiment
from experiments.translation import TranslationExperiment
from experiments.translation_scores import decoder, longest_target

_AT_ONCE = 64


@dataclasses.dataclass(frozen=True)
class Command:
    """Translates texts by a trained run.

    A single text is shown with the alignment; many, from a file or from standard input, become a
    line each and nothing else.
    """

    run: Annotated[Path, tyro.conf.Positional]
    """The run's folder, or runs/translation_additive for its last."""
    texts: Annotated[tuple[str, ...], tyro.conf.Positional] = ()
    """What to translate; lines of standard input if there is none."""
    file: Path | None = None
    """A file to translate line by line."""
    plot: Path | None = None
    """Where to draw the alignment of one text: .svg, .png or .pdf."""
    beam: int = 0
    """How many translations to pursue at once; 0 writes the likeliest token each time."""
    length_penalty: float = 0.6
    """How far the beam favours long translations, from 0, not at all."""
    checkpoint: str = "last"
    """Which of the run's: last, best, or a step."""


def main(arguments: Sequence[str]) -> int:
    """Translate; mistakes are told in a line."""
    prog = "python -m experiments.translate"
    command = tyro.cli(Command, args=list(arguments), prog=prog)
    try:
        translate(command)
    except EXPECTED as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0


def translate(command: Command) -> None:
    """Do what the command says.

    Raises:
        ValueError: If its options do not go together, or the run is of another task.
        OSError: If a file cannot be read.
    """
    if command.file and command.texts:
        raise ValueError("--file is translated line by line; leave out the texts beside it.")
    if command.plot and (command.file or len(command.texts) != 1):
        raise ValueError("--plot draws the alignment of one text; give one in quotes, no file.")
    checkpoint = int(command.checkpoint) if command.checkpoint.isdigit() else command.checkpoint
    experiment, params = reopen_experiment(command.run, checkpoint)
    if not isinstance(experiment, TranslationExperiment):
        raise ValueError(
            f"{command.run} is a run of {type(experiment).__name__}, which translates nothing; "
            "give a run of an experiment translation_*."
        )
    if command.texts:
        for text in command.texts:
            _show(command, experiment, params, text)
    else:
        for line in translate_lines(command, experiment, params, _lines(command.file)):
            print(line)


def _lines(file: Path | None) -> Iterator[str]:
    """The lines to translate, each without its end."""
    stream = sys.stdin if file is None else None
    raw = stream.buffer.read() if stream else (file or Path()).read_bytes()
    for number, line in enumerate(raw.removeprefix(b"\xef\xbb\xbf").splitlines(), start=1):
        try:
            yield line.decode("utf-8")
        except UnicodeDecodeError as error:
            raise ValueError(
                f"{file or 'standard input'}, line {number}: byte {error.start + 1} is no UTF-8 "
                f"({error.reason}); save the text as UTF-8."
            ) from error


def translate_lines(
    command: Command, experiment: TranslationExperiment, params: Any, lines: Iterator[str]
) -> Iterator[str]:
    """Translate lines in batches, in their order; an empty one stays empty.

    Args:
        command: The options.
        experiment: Of the run.
        params: The trained parameters.
        lines: Texts.

    Yields:
        A translation for each.
    """
    task = experiment.task
    texts = [task.normalize_source(line) for line in lines]
    written = dict.fromkeys(range(len(texts)), "")
    # Sorted by length, so that a batch has little padding and few shapes are compiled.
    order = sorted(filter(texts.__getitem__, written), key=lambda at: len(texts[at]))
    for start in range(0, len(order), _AT_ONCE):
        rows = order[start : start + _AT_ONCE]
        for at in rows:
            warn_of_input(experiment, texts[at], f"line {at + 1}")
        _, tokens = decode_texts(command, experiment, params, [texts[at] for at in rows])
        for at, each in zip(rows, tokens, strict=True):
            warn_of_end(each, f"line {at + 1}")
        decoded = (task.target_tokenizer.decode(each.tolist()) for each in tokens)
        written |= dict(zip(rows, decoded, strict=True))
    yield from written.values()


def decode_texts(
    command: Command, experiment: TranslationExperiment, params: Any, texts: Sequence[str]
) -> tuple[np.ndarray, np.ndarray]:
    """Translate normalised texts in one batch.

    Args:
        command: The options.
        experiment: Of the run.
        params: The trained parameters.
        texts: At most as many as a batch has.

    Returns:
        The numbers read, padded to a length that the training had if there is one, and written.
    """
    task = experiment.task
    rows = [task.source_tokenizer.encode(text) for text in texts]
    lengths = sorted({bucket["source"].shape[1] for bucket in experiment.splits["train"]})
    longest = max(map(len, rows))
    width = next((length for length in lengths if length >= longest), longest)
    source = np.zeros((1 if len(rows) == 1 else _AT_ONCE, width), np.int32)
    for row, numbers in zip(source, rows, strict=False):
        row[: len(numbers)] = numbers
    model, most = experiment.sized_model(), longest_target(experiment.splits)
    decode = decoder(model, most, command.beam, command.length_penalty)
    return source[: len(rows)], np.asarray(decode(params, source))[: len(rows)]


def warn_of_input(experiment: TranslationExperiment, text: str, where: str) -> None:
    """Tell on standard error what the model never met: tokens, and texts of such a length."""
    tokenizer = experiment.task.source_tokenizer
    pairs = list(zip(tokenizer.tokens(text), tokenizer.encode(text), strict=True))
    longest = max(bucket["source"].shape[1] for bucket in experiment.splits["train"])
    if len(pairs) > longest:
        print(
            f"{where}: {len(pairs)} tokens, more than the {longest} of the longest text learnt "
            "from; part it.",
            file=sys.stderr,
        )
    unknown = dict.fromkeys(token for token, number in pairs if number == UNKNOWN)
    if unknown:
        names = ", ".join(map(repr, unknown))
        print(f"{where}: unknown to the model: {names}", file=sys.stderr)


def warn_of_end(tokens: np.ndarray, where: str) -> None:
    """Tell on standard error of a translation that is cut off."""
    if END not in tokens:
        print(
            f"{where}: the translation is cut off after {len(tokens)} tokens, the most that was "
            "learnt; part the text.",
            file=sys.stderr,
        )


def _show(command: Command, experiment: TranslationExperiment, params: Any, text: str) -> None:
    """Print a translation and its alignment, and draw it if asked."""
    from experiments.terminal import print_alignment
    from experiments.translation_figures import label_target

    task, normal = experiment.task, experiment.task.normalize_source(text)
    if not normal:
        raise ValueError("there is no text to translate; give some in quotes.")
    warn_of_input(experiment, normal, repr(normal))
    source, tokens = decode_texts(command, experiment, params, [normal])
    warn_of_end(tokens[0], repr(normal))
    weights = experiment.alignment(experiment.weigh(params, source, tokens))[0]
    read, written = task.source_tokenizer.tokens(normal), label_target(task, tokens[0])
    weights = weights[: len(written), : len(read)]
    print(task.target_tokenizer.decode(tokens[0].tolist()))
    print_alignment(weights, read, written)
    if command.plot:
        from attn_jax import plot

        figure = plot.alignment(weights, source=read, target=written, normalized=False)
        command.plot.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(command.plot)
        print(f"Alignment: {command.plot}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
