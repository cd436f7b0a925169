"""Jobs, each in a process of its own, so that a failure costs no other."""

import subprocess
import sys
from collections.abc import Callable, Sequence


def run_all(module: str, option: str, jobs: Sequence[tuple[str, int]], has: Callable) -> int:
    """Run `python -m module one OPTION NAME --seeds SEED` for each job.

    Args:
        module: The name of the module.
        option: The option that takes a name.
        jobs: Names and seeds.
        has: A function of a name and a seed, which returns why it need not run, or nothing.

    Returns:
        1 if a job failed, which is said at the end too, else 0.
    """
    failed = []
    for number, (name, seed) in enumerate(jobs, 1):
        label = f"{number}/{len(jobs)}: {name}, seed {seed}"
        reason = has(name, seed)
        if reason:
            print(f"[{label}: {reason}]", flush=True)
            continue
        print(f"[{label}]", flush=True)
        words = [sys.executable, "-m", module, "one", option, name, "--seeds", str(seed)]
        if subprocess.run(words, check=False).returncode:
            failed.append(label)
    for label in failed:
        print(f"[{label}: failed; see above]", file=sys.stderr)
    return int(bool(failed))
