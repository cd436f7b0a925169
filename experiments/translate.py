"""Translate with a trained run, and see what it looked at: `python -m experiments.translate`."""

import dataclasses
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro

from attn_jax.tasks.translation.tokens import END, SPECIALS, UNKNOWN
from experiments.command import EXPECTED
from experiments.translation.translator import AT_ONCE, Translator, open_translator

_FORMATS = (".svg", ".png", ".pdf")


@dataclasses.dataclass(frozen=True)
class Command:
    """Translates texts by a trained run.

    A text given here is shown with its alignment, which is drawn too; many, from a file or from
    standard input, become a line each and nothing else.
    """

    run: Annotated[Path, tyro.conf.Positional]
    """The run's folder, or runs/translation_additive for its last."""
    texts: Annotated[tuple[str, ...], tyro.conf.Positional] = ()
    """What to translate; lines of standard input if there is none."""
    file: Path | None = None
    """A file to translate line by line."""
    plot: Path | None = None
    """Where to draw the alignment of one text: .svg, .png or .pdf; else it is drawn in the run's
    folder."""
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
    if command.plot and command.plot.suffix not in _FORMATS:
        raise ValueError(f"--plot {command.plot} must end in {', '.join(_FORMATS)}.")
    checkpoint = int(command.checkpoint) if command.checkpoint.isdigit() else command.checkpoint
    translator = open_translator(command.run, checkpoint)
    if command.texts:
        for text in command.texts:
            _show(command, translator, text, command.plot or _next(translator.run))
    else:
        for line in translate_lines(command, translator, _lines(command.file)):
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
    command: Command, translator: Translator, lines: Iterator[str]
) -> Iterator[str]:
    """Translate lines in batches, in their order; an empty one stays empty.

    Args:
        command: The options.
        translator: Of the run.
        lines: Texts.

    Yields:
        A translation for each.
    """
    texts = [translator.experiment.task.normalize_source(line) for line in lines]
    written = dict.fromkeys(range(len(texts)), "")
    # Sorted by length, so that a batch has little padding and few shapes are compiled.
    order = sorted(filter(texts.__getitem__, written), key=lambda at: len(texts[at]))
    for start in range(0, len(order), AT_ONCE):
        rows = order[start : start + AT_ONCE]
        for at in rows:
            warn_of_input(translator, texts[at], f"line {at + 1}")
        found = translator.translate(
            [texts[at] for at in rows], beam=command.beam, length_penalty=command.length_penalty
        )
        for at, each in zip(rows, found, strict=True):
            warn_of_end(each.numbers, f"line {at + 1}")
            written[at] = translator.words.target.decode(each.numbers.tolist())
    yield from written.values()


def warn_of_input(translator: Translator, text: str, where: str) -> None:
    """Tell on standard error what the model never met: tokens, and texts of such a length."""
    tokenizer, longest = translator.words.source, translator.words.read[-1]
    pairs = list(zip(tokenizer.tokens(text), tokenizer.encode(text), strict=True))
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


def _next(run: Path) -> Path:
    """The next figure in a run's folder."""
    folder = run / "translations"
    numbers = [int(path.stem) for path in folder.glob("*.svg") if path.stem.isdecimal()]
    return folder / f"{max(numbers, default=0) + 1}.svg"


def _show(command: Command, translator: Translator, text: str, plot: Path) -> None:
    """Print a translation and its alignment, and draw it."""
    from attn_jax.plot import alignment
    from attn_jax.plot.fonts import legible
    from experiments.translation.examples import label_target
    from experiments.translation.terminal import print_alignment

    words = translator.words
    normal = translator.experiment.task.normalize_source(text)
    if not normal:
        raise ValueError("there is no text to translate; give some in quotes.")
    warn_of_input(translator, normal, repr(normal))
    (found,) = translator.translate(
        [normal], beam=command.beam, length_penalty=command.length_penalty
    )
    warn_of_end(found.numbers, repr(normal))
    numbered = zip(words.source.tokens(normal), words.source.encode(normal), strict=True)
    read = [SPECIALS[UNKNOWN] + token if number == UNKNOWN else token for token, number in numbered]
    written = label_target(words.target, found.numbers)
    weights = found.alignment[: len(written), : len(read)]
    print(words.target.decode(found.numbers.tolist()))
    print_alignment(weights, read, written)
    if not legible("".join((*read, *written))):
        print(
            "no installed font has every letter of this; the figure shows boxes.", file=sys.stderr
        )
    figure = alignment(weights, source=read, target=written, normalized=False)
    try:
        plot.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(plot)
    except OSError as error:
        if command.plot:
            raise
        # The translation is what was asked for; its figure goes to the run only by default.
        print(
            f"The alignment was not drawn: {plot.parent} cannot be written ({error.strerror}); "
            "choose another place by --plot PATH.",
            file=sys.stderr,
        )
    else:
        print(f"Alignment: {plot}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
