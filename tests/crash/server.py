"""A process that has imported everything and forks a child for each job, so that a child is cheap.

It reads jobs from standard input, a line of JSON each, and answers with the child's status:
`{"scenario": "train", "folder": "...", "kill": 17}`. Before the operation `kill` on a file in
`folder` the child kills itself. If it ends by itself, it writes its operations, and what they left,
to a file beside the folder.
"""

import json
import os
import signal
import sys
import traceback
from pathlib import Path

import orbax.checkpoint  # noqa: F401
import scenarios
import tensorboardX  # noqa: F401

import experiments.translation.figures  # noqa: F401

CHANGES = ("os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.truncate", "os.link", "os.symlink")


class Operations:
    """Counts the operations that change files in a folder, and ends the process before one."""

    def __init__(self, folder, kill):
        self.folder, self.kill, self.lines = folder, kill, []

    def __call__(self, event, arguments):
        if event == "open":
            if not (arguments[2] or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
                return
        elif event not in CHANGES:
            return
        path = os.fsdecode(arguments[0]) if not isinstance(arguments[0], int) else ""
        # What is removed within a folder that is open has a name alone.
        if not path.startswith(self.folder) and not (event == "os.remove" and "/" not in path):
            return
        if len(self.lines) == self.kill:
            os.kill(os.getpid(), signal.SIGKILL)
        self.lines.append(f"{event} {path.removeprefix(self.folder)}")


def work(job):
    """Runs a job in this process, which ends."""
    folder = job["folder"]
    output = os.open(f"{folder}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for descriptor in (1, 2):
        os.dup2(output, descriptor)
    code = 1
    try:
        operations = Operations(folder, job["kill"])
        sys.addaudithook(operations)
        ended = scenarios.SCENARIOS[job["scenario"]](Path(folder)) or 0
        lines, operations.kill = list(operations.lines), None
        result = {"operations": lines, "outcome": scenarios.outcome(Path(folder))}
        Path(f"{folder}.json").write_text(json.dumps(result))
        code = ended
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def main():
    for line in sys.stdin:
        child = os.fork()
        if not child:
            work(json.loads(line))
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        print(status, flush=True)


if __name__ == "__main__":
    main()
