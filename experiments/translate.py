"""Translate with a trained run and see its alignment: `attn-jax translate`."""

import contextlib
import dataclasses
import itertools
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro

from attn_jax.tasks.translation.tokens import END, SPECIALS, UNKNOWN
from attn_jax.train.disk.manifest import replacing
from experiments.command import EXPECTED
from experiments.invocation import program
from experiments.translation.translator import BATCH_SIZE, Translation, Translator, open_translator

_FORMATS = (".svg", ".png", ".pdf")


@dataclasses.dataclass(frozen=True)
class Command:
    """Translate texts with a trained run.

    A text given here is printed and drawn with its alignment. The lines of a file or of standard
    input are translated line by line, and nothing else is printed.
    """

    run: Annotated[Path, tyro.conf.Positional]
    """The run's folder, or runs/translation_additive for the last run of that experiment."""
    texts: Annotated[tuple[str, ...], tyro.conf.Positional] = ()
    """The texts to translate; without any, the lines of standard input are translated."""
    file: Path | None = None
    """A file to translate line by line."""
    plot: Path | None = None
    """Where to draw the alignment of one text: a .svg, .png or .pdf file. By default it is drawn in
    the run's folder."""
    beam: int = 0
    """Number of hypotheses in beam search; 0 writes the most likely token at each step."""
    length_penalty: float = 0.6
    """How strongly beam search favors longer translations (0: not at all)."""
    checkpoint: str = "last"
    """Which checkpoint of the run to use: last, best, or a step."""


def main(arguments: Sequence[str]) -> int:
    """Translate; report mistakes in a line."""
    command = tyro.cli(Command, args=list(arguments), prog=f"{program()} translate")
    try:
        translate(command)
    except EXPECTED as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0


def translate(command: Command) -> None:
    """Run the command.

    Raises:
        ValueError: If its options contradict each other, or the run is of another task.
        OSError: If a file cannot be read.
    """
    if command.file and command.texts:
        raise ValueError("--file is translated line by line; leave out the texts beside it.")
    if command.plot and (command.file or len(command.texts) != 1):
        raise ValueError("--plot draws the alignment of one text; give one in quotes, no file.")
    if command.plot and command.plot.suffix not in _FORMATS:
        raise ValueError(f"--plot {command.plot} must end in {', '.join(_FORMATS)}.")
    checkpoint = int(command.checkpoint) if command.checkpoint.isdecimal() else command.checkpoint
    translator = open_translator(command.run, checkpoint)
    if command.texts:
        for text in command.texts:
            _show(command, translator, text)
    else:
        for line in translate_lines(command, translator, _lines(command.file)):
            print(line)


def _lines(file: Path | None) -> Iterator[str]:
    """Yield the lines to translate, without their ends."""
    raw = sys.stdin.buffer.read() if file is None else file.read_bytes()
    for number, line in enumerate(raw.removeprefix(b"\xef\xbb\xbf").splitlines(), start=1):
        try:
            yield line.decode("utf-8")
        except UnicodeDecodeError as error:
            raise ValueError(
                f"{file or 'standard input'}, line {number}: byte {error.start + 1} is not UTF-8 "
                f"({error.reason}); save the text as UTF-8."
            ) from error


def translate_lines(
    command: Command, translator: Translator, lines: Iterator[str]
) -> Iterator[str]:
    """Translate lines in batches, in their order; an empty line stays empty.

    Args:
        command: The options.
        translator: A translator.
        lines: The texts.

    Yields:
        The translation of each.
    """
    texts = [translator.experiment.task.normalize_source(line) for line in lines]
    translations = dict.fromkeys(range(len(texts)), "")
    # Sorted by length, so that a batch has little padding and few shapes are compiled.
    order = sorted(filter(texts.__getitem__, translations), key=lambda index: len(texts[index]))
    for start in range(0, len(order), BATCH_SIZE):
        batch = order[start : start + BATCH_SIZE]
        for index in batch:
            warn_of_input(translator, texts[index], f"line {index + 1}")
        results = translator.translate(
            [texts[index] for index in batch],
            beam=command.beam,
            length_penalty=command.length_penalty,
        )
        for index, result in zip(batch, results, strict=True):
            warn_of_end(result.numbers, f"line {index + 1}")
            translations[index] = translator.vocabulary.target.decode(result.numbers.tolist())
    yield from translations.values()


def warn_of_input(translator: Translator, text: str, where: str) -> None:
    """Warn on standard error of unknown tokens, and of a text longer than any in training."""
    tokenizer, longest = translator.vocabulary.source, translator.vocabulary.source_lengths[-1]
    pairs = list(zip(tokenizer.tokens(text), tokenizer.encode(text), strict=True))
    if len(pairs) > longest:
        print(
            f"{where}: {len(pairs)} tokens, more than the {longest} of the longest text in "
            "training; split it.",
            file=sys.stderr,
        )
    unknown = dict.fromkeys(token for token, number in pairs if number == UNKNOWN)
    if unknown:
        names = ", ".join(map(repr, unknown))
        print(f"{where}: unknown to the model: {names}", file=sys.stderr)


def warn_of_end(tokens: np.ndarray, where: str) -> None:
    """Warn on standard error of a translation that is cut off."""
    if END not in tokens:
        print(
            f"{where}: the translation is cut off after {len(tokens)} tokens, the most in "
            "training; split the text.",
            file=sys.stderr,
        )


def _show(command: Command, translator: Translator, text: str) -> None:
    """Print a translation and its alignment, and draw it."""
    # Matplotlib takes long to import, and lines are translated without it.
    from attn_jax.plot.fonts import legible
    from experiments.translation.terminal import print_alignment

    normalized = translator.experiment.task.normalize_source(text)
    if not normalized:
        raise ValueError("there is no text to translate; give some in quotes.")
    warn_of_input(translator, normalized, repr(normalized))
    (translation,) = translator.translate(
        [normalized], beam=command.beam, length_penalty=command.length_penalty
    )
    warn_of_end(translation.numbers, repr(normalized))
    weights, source, target = _label(translator, normalized, translation)
    print(translator.vocabulary.target.decode(translation.numbers.tolist()))
    print_alignment(weights, source, target)
    if not legible("".join((*source, *target))):
        print(
            "no installed font has every letter of this; the figure shows boxes.", file=sys.stderr
        )
    _draw(command, translator, weights, source, target)


def _label(
    translator: Translator, text: str, translation: Translation
) -> tuple[np.ndarray, list[str], list[str]]:
    """Return the alignment without padding, and the tokens of its columns and rows."""
    from experiments.translation.examples import label_target

    tokenizer = translator.vocabulary.source
    pairs = zip(tokenizer.tokens(text), tokenizer.encode(text), strict=True)
    source = [SPECIALS[UNKNOWN] + token if number == UNKNOWN else token for token, number in pairs]
    target = label_target(translator.vocabulary.target, translation.numbers)
    return translation.alignment[: len(target), : len(source)], source, target


def _draw(
    command: Command,
    translator: Translator,
    weights: np.ndarray,
    source: list[str],
    target: list[str],
) -> None:
    """Draw an alignment where the command says, by default in the run's folder."""
    from attn_jax.plot import alignment

    figure = alignment(weights, source=source, target=target, normalized=False)
    folder = translator.run / "translations"
    try:
        if command.plot:
            path = command.plot
            path.parent.mkdir(parents=True, exist_ok=True)
            with replacing(path) as draft:
                figure.savefig(draft, format=path.suffix[1:])
        else:
            path = _save_next(figure, folder)
    except OSError as error:
        if command.plot:
            raise
        # Only the translation was asked for, so a run that cannot be written is no failure.
        print(
            f"The alignment was not drawn, because {folder} cannot be written ({error.strerror}); "
            "choose another place with --plot PATH.",
            file=sys.stderr,
        )
    else:
        print(f"Alignment: {path}")


def _save_next(figure: Any, folder: Path) -> Path:
    """Save a figure under the next free number of a folder, whole or not at all."""
    folder.mkdir(exist_ok=True)
    draft = folder / f"{os.getpid()}.svg.tmp"
    try:
        figure.savefig(draft, format="svg")
        numbers = [int(path.stem) for path in folder.glob("*.svg") if path.stem.isdecimal()]
        for number in itertools.count(max(numbers, default=0) + 1):
            with contextlib.suppress(FileExistsError):
                return _move_to_new(draft, folder / f"{number}.svg")
    finally:
        draft.unlink(missing_ok=True)
    raise AssertionError("there is always a next number")


def _move_to_new(draft: Path, path: Path) -> Path:
    """Rename a file; raise FileExistsError, where links are known, if another has the name."""
    try:
        os.link(draft, path)
    except FileExistsError:
        raise
    except OSError:
        # Some network drives have no links. There two processes may pick the same number.
        os.replace(draft, path)
    return path


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
