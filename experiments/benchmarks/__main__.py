"""The command line of the benchmarks: `python -m experiments.benchmarks [PART ...]`."""

import subprocess
import sys
from collections.abc import Sequence

from experiments.benchmarks import DEVICE_PARTS, parts


def main(names: Sequence[str]) -> int:
    """Run each part, or those named, in a process of its own, so that settings do not mix."""
    known = parts()
    unknown = [name for name in names if name not in known]
    if unknown or "--help" in names:
        print(f"There is no part {', '.join(unknown)}. The parts:", file=sys.stderr)
        print("\n".join(f"  {name}  {line}" for name, line in known.items()), file=sys.stderr)
        return 2
    failed = [
        name
        for name in names or [name for name in known if name not in DEVICE_PARTS]
        if subprocess.run([sys.executable, "-m", f"experiments.benchmarks.{name}"]).returncode
    ]
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
