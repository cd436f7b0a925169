"""The command `look`: from a checkpoint and a text to a page."""

import contextlib
import dataclasses
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from experiments.invocation import IS_CLONE, program
from experiments.look import EXAMPLE

LOOKS = Path("looks")
# A text may be the word None, which tyro would take for no text.
_Text = Annotated[str | None, tyro.conf.arg(constructor=str, help_behavior_hint="")]


@dataclasses.dataclass(frozen=True)
class Command:
    """Show the attention of a checkpoint: write a page of its maps on a text, an image or a sound.

    The weights are fetched if they are not on this machine yet.
    """

    model: Annotated[str, tyro.conf.Positional]
    """The model: minilm, smollm2, dinov2-small, whisper-tiny.en, netra, a folder, or a hub name."""
    text: _Text = None
    """The text to read; a sentence about a cat by default."""
    text2: _Text = None
    """A second text to compare with the first."""
    file: Path | None = None
    """A file to read the text from, in UTF-8."""
    image: Path | None = None
    """The file of an image, for a model of images."""
    audio: Path | None = None
    """The file of a recording, for a model of speech."""
    generate: int = 0
    """The number of tokens that a model of texts writes before it is looked at."""
    layer: int = -1
    """The layer that the figures show; -1 is the last."""
    head: int | None = None
    """The head that the figures show; the mean of all heads by default."""
    card: bool = True
    """Whether to judge a model's predictions with a report card, which takes a while."""
    save_captured: bool = False
    """Whether to save the captured weights too, as captured.npz."""
    language: Literal["en", "zh"] = "en"
    """The language of the page and of the words in its figures: English or Chinese."""
    looks: Path = LOOKS
    """The folder for all pages; each gets a subfolder, MODEL/DATE-TIME."""


def main(arguments: Sequence[str]) -> int:
    """Write a page and print where it is; report mistakes in a line."""
    command = tyro.cli(
        Command,
        args=list(arguments),
        prog="make look MODEL=... TEXT='...' ARGS='...'  |  " * IS_CLONE + f"{program()} look",
    )
    try:
        page = look(command, arguments)
    except Exception as error:
        from attn_jax.tasks.fetch import FetchError

        if not isinstance(error, FetchError | OSError | ValueError):
            raise
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 2
    print(f"Page: {page}")
    return 0


def look(command: Command, arguments: Sequence[str]) -> Path:
    """Open the model, let it read, and write the page.

    Args:
        command: The options.
        arguments: The same as words, for the page to repeat.

    Returns:
        The page's path.

    Raises:
        ValueError: If the model, a text or another option is not valid.
        FetchError: If the weights cannot be fetched.
        OSError: If a file cannot be read or written.
    """
    read = _given(command)
    if command.generate < 0:
        raise ValueError(f"--generate {command.generate} is no number of tokens.")
    with _step(f"Opening {command.model}"):
        # JAX and matplotlib take seconds to import, and the help does without.
        from attn_jax import pretrained
        from attn_jax.tasks.cache import write_arrays
        from experiments.look.kinds import Given, chosen_kind, look_at
        from experiments.look.look import Choice
        from experiments.look.page import short_name, write_page
        from experiments.report.figure_words import figures_in

        given = Given(**read)
        source = pretrained.available().get(command.model)
        if source is not None:
            chosen_kind(source.name, [source.reads], given)
            _announce_download(source.name, source.megabytes)
        model = pretrained.load(command.model)
    with _step("Writing and reading" if command.generate else "Reading in one program"):
        choice = Choice(command.layer, command.head)
        result = look_at(model, given, choice, command.generate)
    card = None
    if command.card and result.judge:
        with _step("Judging a map by predictions (--no-card leaves it out)"):
            card = result.judge()
    new_folder = _new_folder(command.looks / short_name(command.model))
    with figures_in(command.language), _step("Drawing"), new_folder as folder:
        if command.save_captured:
            write_arrays(folder / "captured.npz", dict(result.captured))
        return write_page(folder, result, model, arguments, card, language=command.language)


def _given(command: Command) -> dict[str, Any]:
    """Return what there is to read, as the arguments of `kinds.Given`."""
    inputs = ("text", "file", "image", "audio")
    options = [name for name in inputs if getattr(command, name) is not None]
    if command.text2 is not None and {"image", "audio"} & set(options):
        options.append("text2")
    if len(options) > 1:
        listed = " and ".join(f"--{name}" for name in options)
        raise ValueError(f"{listed} each give what is to be read; keep one of them.")
    for path in (command.image, command.audio):
        if path is not None and not path.is_file():
            raise ValueError(f"{path} is not a file.")
    return {"texts": _texts(command), "image": command.image, "sound": command.audio}


def _texts(command: Command) -> list[str]:
    text = _read(command.file) if command.file else command.text
    if command.text2 is not None:
        return [EXAMPLE if text is None else text, command.text2]
    return [] if text is None else [text]


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{file}: byte {error.start + 1} is not UTF-8 ({error.reason}); save it as UTF-8."
        ) from error


def _announce_download(name: str, megabytes: float) -> None:
    from attn_jax.tasks.cache import cache_folder

    if not (cache_folder() / "pretrained" / name).exists():
        print(f"fetching {megabytes:g} MB, once … ", end="", flush=True)


@contextlib.contextmanager
def _step(label: str) -> Iterator[None]:
    """Say what is being done, and how long it took."""
    start = time.perf_counter()
    print(f"{label} … ", end="", flush=True)
    try:
        yield
    except BaseException:
        print(flush=True)
        raise
    print(f"{time.perf_counter() - start:.1f} s", flush=True)


@contextlib.contextmanager
def _new_folder(parent: Path) -> Iterator[Path]:
    """Make a folder named by the time; remove it again if it is not finished."""
    from experiments.new_run import new_run

    folder = new_run(parent)
    try:
        yield folder
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        with contextlib.suppress(OSError):
            parent.rmdir()
        raise
