"""The command line: `python -m experiments NAME [options]`, or `attn-jax NAME [options]`."""

import hashlib
import os
import platform
import sys
from importlib.util import find_spec
from pathlib import Path

import attn_jax
from attn_jax._extras import MissingPackageError, require
from experiments import catalogue
from experiments.invocation import IS_CLONE, program
from experiments.memory import keep_freed_memory

_COMMANDS = (
    ("train NAME [options]", "train, draw, report", "make train EXP=NAME"),
    ("train NAME --help", "show the options of one experiment", ""),
    ("list", "list the experiments", "make list"),
    ("report [RUN]", "draw a run's figures and report again", "make report"),
    ("look MODEL", "show the attention of a checkpoint", "make look MODEL="),
    ("translate RUN [TEXT ...]", "translate with a trained run", ""),
    ("allow PATH", "let runs of others read their data from PATH", ""),
)


def usage() -> str:
    """Return what the commands are, and in a clone what make calls them."""
    lines = [
        f"{program()} {words:<26}{what}" + f" ({make})" * bool(make and IS_CLONE)
        for words, what, make in _COMMANDS
    ]
    return "usage: " + "\n       ".join(lines) + "\n\nThe experiments:\n"


def reuse_programs() -> None:
    """Let JAX keep its compiled programs, so that commands that are run again start sooner.

    They are in `attn_jax/programs` in the XDG cache folder, at most 256 MiB for each kind of
    processor. Variables of JAX that the environment has already go first.
    """
    # A program is run as it is found, so never in $ATTN_JAX_CACHE, which users may share.
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    settings = {
        "JAX_COMPILATION_CACHE_DIR": str(cache / "attn_jax" / "programs" / _processor()),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.2",
    }
    if find_spec("filelock"):
        settings["JAX_COMPILATION_CACHE_MAX_SIZE"] = str(2**28)
    # Not by `jax.config`: the commands that need no JAX do not import it.
    for name, value in settings.items():
        os.environ.setdefault(name, value)


def _processor() -> str:
    """Return a name for this kind of processor, whose programs no other kind may run.

    A machine may wake up on another one, or share its home folder, so that the host's name is not
    enough.
    """
    described = Path("/proc/cpuinfo")
    lines = described.read_text("utf-8").splitlines() if described.exists() else []
    kinds = {line for line in lines if line.startswith(("model name", "flags", "Features"))}
    text = "\n".join(sorted(kinds)) or platform.processor() + platform.node()
    return f"{platform.machine()}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def main(arguments: list[str]) -> int:
    """Run a command; import JAX and an experiment only for those that need them."""
    name, *options = arguments or ["--help"]
    if name == "train":  # as make says it
        name, *options = options or ["list"]
    if name in ("-h", "--help"):
        print(usage() + catalogue.table())
        return 0
    if name == "list":
        print(catalogue.table())
        return 0
    if name == "--version":
        print(f"attn-jax {attn_jax.__version__}")
        return 0
    commands = [words.partition(" ")[0] for words, _, _ in _COMMANDS]
    names = list(catalogue.experiments())
    if name in (*commands, *names):
        return _run(name, options)
    hint = catalogue.nearest(name, [*names, *commands])
    print(f"There is no experiment {name!r}.{hint} There are:", file=sys.stderr)
    print(catalogue.table(), file=sys.stderr)
    return 2


def _run(name: str, options: list[str]) -> int:
    """Import a command and run it, once what it needs is known to be there."""
    if name == "look":
        require("tyro", "safetensors", "tokenizers", extra="hub,train")
    import attn_jax._extras.commands  # noqa: F401

    if name == "look":
        from experiments.look.command import main as look

        return look(options)
    if name == "translate":
        from experiments.translate import main as translate

        return translate(options)
    from experiments.command import allow_paths, report, train

    if name == "report":
        return report(options)
    return allow_paths(options) if name == "allow" else train(name, options)


def entry() -> int:
    """Run the command line of this process; the installed command `attn-jax` calls it."""
    keep_freed_memory()
    reuse_programs()
    try:
        return main(sys.argv[1:])
    except MissingPackageError as error:
        print(f"{error}.", file=sys.stderr)
        return 2
    except BrokenPipeError:  # `attn-jax list | head` has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


if __name__ == "__main__":
    sys.exit(entry())
