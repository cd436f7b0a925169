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
from collections import Counter
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
KINDS = ("train", "resume", "report", "fetch", "caches")
BASES = {"resume": "train", "report": "translate"}
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
        scenario = "train" if kind == "resume" else kind
        job = {"scenario": scenario, "folder": str(folder), "kill": kill}
        self.server.stdin.write(json.dumps(job) + "\n")
        self.server.stdin.flush()
        code = int(self.server.stdout.readline())
        result = Path(f"{folder}.json")
        return code, json.loads(result.read_text()) if result.exists() else {}

    def undisturbed(self, kind):
        """Return what work does and leaves if nothing stops it, and where."""
        if kind not in self._known:
            folder = self.new(kind)
            code, result = self.work(kind, folder)
            assert code == 0, Path(f"{folder}.log").read_text()
            # A resumed run leaves what one never stopped leaves, and a report what it finds.
            whole = self.undisturbed(BASES[kind])["outcome"] if kind in BASES else None
            assert whole in (None, result["outcome"])
            self._known[kind] = result | {"folder": folder}
        return self._known[kind]

    def new(self, kind):
        """Return a new folder for work, with what it goes on from."""
        self.number += 1
        folder = self.folder / f"{self.number:04}-{kind}"
        if kind == "resume":
            shutil.copytree(self._halfway(), folder)
        elif kind == "report":
            shutil.copytree(self.undisturbed("translate")["folder"], folder)
        else:
            folder.mkdir()
        return folder

    def _halfway(self):
        """Return the folder of a run that was killed after its second checkpoint."""
        if "halfway" not in self._known:
            operations = self.undisturbed("train")["operations"]
            sealed = [i for i, line in enumerate(operations) if "MANIFEST.sha256" in line]
            folder = self.new("train")
            assert self.work("train", folder, sealed[3] + 2)[0] == KILLED
            self._known["halfway"] = folder
        return self._known["halfway"]

    def try_point(self, kind, kill):
        """Kill work before an operation, and start it again; return what is wrong, or nothing."""
        expected = self.undisturbed(BASES.get(kind, kind))["outcome"]
        folder = self.new(kind)
        code, _ = self.work(kind, folder, kill)
        # Near its end, work may end before: how many operations it has varies a little.
        if code not in (KILLED, 0):
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
        counts = {kind: len(crashes.undisturbed(kind)["operations"]) for kind in KINDS}
        print(
            ", ".join(f"{kind} has {count} operations" for kind, count in counts.items()),
            flush=True,
        )
        points = spread(counts, total)
        shares, tried = Counter(kind for kind, _ in points), Counter()
        for number, (kind, kill) in enumerate(points, start=1):
            tried[kind] += 1
            # The number of operations varies a little, with the threads that write a checkpoint.
            point = f"{kind} {tried[kind]} of {shares[kind]}"
            if point in passed:
                continue
            failure = crashes.try_point(kind, kill)
            failures += [failure] * bool(failure)
            print(f"{number}/{len(points)} {point}, at {kill}: {failure or 'passed'}", flush=True)
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
