"""Ask pip-audit for known vulnerabilities of the locks: one fails, no answer passes with a line."""

import json
import subprocess
import sys
from pathlib import Path

# The oldest releases and the peers are not shipped, and their versions are old on purpose.
LOCKS = ("base", "dev", "cuda", "tpu")
SECONDS = 60


def main() -> int:
    """Print what pip-audit knows, and return the exit status."""
    try:
        packages = ask()
    except RuntimeError as error:
        print(f"Vulnerabilities: not known, pip-audit could not ask: {error}")
        return 0
    known = [package for package in packages if "vulns" in package]
    if not known:
        print(f"Vulnerabilities: not known, the database has none of the {len(packages)} packages")
        return 0
    flaws = [(package, flaw) for package in known for flaw in package["vulns"]]
    for package, flaw in flaws:
        releases = ", ".join(flaw["fix_versions"]) or "no release yet"
        print(f"{package['name']} {package['version']}: {flaw['id']}, fixed in {releases}")
    print(f"Vulnerabilities: {len(flaws)} in {len(known)} of {len(packages)} locked packages")
    return int(bool(flaws))


def ask() -> list[dict]:
    """Return pip-audit's entry for each package of the locks.

    Raises:
        RuntimeError: If it did not answer, with the reason.
    """
    command = [sys.executable, "-m", "pip_audit", "--require-hashes", "--disable-pip"]
    command += ["--format", "json", "--progress-spinner", "off"]
    for name in LOCKS:
        command += ["--requirement", str(Path(__file__).with_name(f"{name}.lock"))]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)
    except subprocess.TimeoutExpired as error:
        raise RuntimeError(f"none within {SECONDS} s") from error
    if not done.stdout:
        raise RuntimeError(done.stderr.strip().rpartition("\n")[2])
    return json.loads(done.stdout)["dependencies"]


if __name__ == "__main__":
    sys.exit(main())
