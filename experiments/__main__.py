"""The command line: `python -m experiments NAME [options]`, or `attn-jax NAME [options]`."""

import sys

from experiments import catalogue

USAGE = """\
usage: python -m experiments NAME [options]   train, draw, report (make train EXP=NAME)
       python -m experiments NAME --help      show the options of one experiment
       python -m experiments list             list the experiments (make list)
       python -m experiments report [RUN]     draw a run's figures and report again (make report)
       python -m experiments look MODEL       show the attention of a checkpoint (make look MODEL=)
       python -m experiments allow PATH       let runs of others read their data from PATH
       python -m experiments.translate RUN [TEXT ...]   translate with a trained run
Where the package is installed, `attn-jax` stands for `python -m experiments`: attn-jax train NAME.

The experiments:
"""


def main(arguments: list[str]) -> int:
    """Run a command; import JAX and an experiment only for those that need them."""
    name, *options = arguments or ["--help"]
    if name == "train":  # as make says it
        name, *options = options or ["list"]
    if name in ("-h", "--help"):
        print(USAGE + catalogue.table())
    elif name == "list":
        print(catalogue.table())
    elif name == "report":
        from experiments.command import report

        return report(options)
    elif name == "look":
        from experiments.look.command import main as look

        return look(options)
    elif name == "allow":
        from experiments.command import allow_paths

        return allow_paths(options)
    elif name in (names := list(catalogue.experiments())):
        from experiments.command import train

        return train(name, options)
    else:
        hint = catalogue.nearest(name, [*names, "list", "report", "look", "allow"])
        print(f"There is no experiment {name!r}.{hint} There are:", file=sys.stderr)
        print(catalogue.table(), file=sys.stderr)
        return 2
    return 0


def entry() -> int:
    """Run the command line of this process; the installed command `attn-jax` calls it."""
    return main(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(entry())
