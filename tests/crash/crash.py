"""Kills work before its operations on files, starts it again, and compares what it leaves.

`make crash` runs 200 points, spread evenly over all operations and round-robin over the kinds of
work. The points that have passed are noted in build/crash.txt, and not tried again.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
KINDS = ("train", "resume", "report", "fetch", "caches")
PASSED = ROOT / "build" / "crash.txt"
KILLED = -9


class Crashes:
    """Work in folders of its own, by children of a server that has imported everything.

    Args:
        folder: A folder for everything.
    """

    def __init__(self, folder):
        self.folder, self.number, self._known = Path(folder), 0, {}
        environment = os.environ | {
            "JAX_PLATFORMS": "cpu",
            "MPLBACKEND": "agg",
            "XDG_STATE_HOME": str(self.folder / "state"),
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests" / "train")]),
            # A child compiles nothing that another has compiled, now or before.
            "JAX_COMPILATION_CACHE_DIR": str(ROOT / "build" / "crash_compilations"),
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        }
        self.server = subprocess.Popen(
            [sys.executable, str(HERE / "server.py")],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def close(self):
        """End the server."""
        self.server.communicate(timeout=60)

    def work(self, kind, folder, kill=None):
        """Do work in a folder; return how it ended, and what it did and left."""
        job = {"scenario": kind, "folder": str(folder), "kill": kill}
        self.server.stdin.write(json.dumps(job) + "\n")
        self.server.stdin.flush()
        code = int(self.server.stdout.readline())
        result = Path(f"{folder}.json")
        return code, json.loads(result.read_text()) if result.exists() else {}

    def undisturbed(self, kind):
        """Return what work does and leaves if nothing stops it."""
        if kind not in self._known:
            # A report leaves what it finds, and a resumed run what one never stopped leaves.
            folder = self.new("resume" if kind == "report" else kind, begun=False)
            code, self._known[kind] = self.work("resume" if kind == "report" else kind, folder)
            assert code == 0, Path(f"{folder}.log").read_text()
            self._known[kind]["folder"] = folder
            if kind in ("resume", "report"):
                self._known |= dict.fromkeys(("resume", "report"), self._known[kind])
        return self._known[kind]

    def new(self, kind, *, begun=True):
        """Return a new folder for work, with what it goes on from."""
        self.number += 1
        folder = self.folder / f"{self.number:04}-{kind}"
        if begun and kind in ("resume", "report"):
            whole = self.undisturbed("resume")
            shutil.copytree(self._halfway() if kind == "resume" else whole["folder"], folder)
        else:
            folder.mkdir()
        return folder

    def _halfway(self):
        """Return the folder of a run that was killed after its first checkpoint."""
        if "halfway" not in self._known:
            operations = self.undisturbed("resume")["operations"]
            sealed = next(i for i, line in enumerate(operations) if "MANIFEST.sha256" in line)
            folder = self.new("resume", begun=False)
            assert self.work("resume", folder, sealed + 2)[0] == KILLED
            self._known["halfway"] = folder
        return self._known["halfway"]

    def operations(self, kind):
        """Return the operations of the work that is killed."""
        if kind not in ("resume", "report"):
            return self.undisturbed(kind)["operations"]
        if f"{kind} operations" not in self._known:
            folder = self.new(kind)
            code, result = self.work(kind, folder)
            assert code == 0, Path(f"{folder}.log").read_text()
            assert result["outcome"] == self.undisturbed(kind)["outcome"]
            self._known[f"{kind} operations"] = result["operations"]
        return self._known[f"{kind} operations"]

    def try_point(self, kind, kill):
        """Kill work before an operation, and start it again; return what is wrong, or nothing."""
        expected = self.undisturbed(kind)["outcome"]
        folder = self.new(kind)
        code, _ = self.work(kind, folder, kill)
        if code != KILLED:
            return f"{kind} ended with {code} before operation {kill}; see {folder}.log"
        code, result = self.work(kind, folder)
        if code:
            return f"{kind}, killed before operation {kill}, then ended with {code}: {folder}.log"
        both = (expected, result["outcome"])
        differing = sorted({*both[0].items()} ^ {*both[1].items()})
        if differing:
            names = ", ".join(dict.fromkeys(name for name, _ in differing))
            return f"{kind}, killed before operation {kill}, differs in {names}: {folder}"
        shutil.rmtree(folder)
        return ""


def spread(counts, total):
    """Return the points of each kind, evenly spread and in turn.
    each kind gets, and which.

       Example:
           >>> spread({"a": 2, "b": 10}, 6)
           [('a', 0), ('b', 1), ('a', 1), ('b', 3), ('b', 6), ('b', 8)]
    """
    shares = dict.fromkeys(counts, 0)
    while sum(shares.values()) < min(total, sum(counts.values())):
        for kind in counts:
            if shares[kind] < counts[kind] and sum(shares.values()) < total:
                shares[kind] += 1
    points = [
        (number, kind, (2 * number + 1) * counts[kind] // (2 * share))
        for kind, share in shares.items()
        for number in range(share)
    ]
    order = list(counts)
    return [point[1:] for point in sorted(points, key=lambda p: (p[0], order.index(p[1])))]


def main(total):
    """Try all points that have not passed yet."""
    passed = set(PASSED.read_text().splitlines()) if PASSED.exists() else set()
    PASSED.parent.mkdir(exist_ok=True)
    failures = []
    crashes = Crashes(tempfile.mkdtemp(prefix="crash-"))
    try:
        counts = {kind: len(crashes.operations(kind)) for kind in KINDS}
        print(", ".join(f"{kind} has {count} operations" for kind, count in counts.items()))
        points = spread(counts, total)
        for number, (kind, kill) in enumerate(points, start=1):
            point = f"{kind} {kill} of {counts[kind]}"
            if point in passed:
                continue
            failure = crashes.try_point(kind, kill)
            failures += [failure] * bool(failure)
            print(f"{number}/{len(points)} {point}: {failure or 'passed'}", flush=True)
            if not failure:
                with PASSED.open("a") as file:
                    file.write(f"{point}\n")
    finally:
        crashes.close()
    print("\n".join([f"{len(failures)} of {len(points)} points failed.", *failures]))
    if not failures:
        shutil.rmtree(crashes.folder)
    return bool(failures)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
