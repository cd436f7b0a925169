"""The start of several processes, which join JAX's own runtime, and their end."""

import contextlib
import dataclasses
import os
import socket
import sys
import threading
import time
from collections.abc import Iterator

import jax

from attn_jax.train.processes.abort import say_at_abort
from attn_jax.train.processes.channel import ProcessError, Processes
from attn_jax.train.processes.cluster import Cluster, find_cluster

HEARTBEAT = 30
"""Seconds after which a silent process counts as dead."""

_LINGER, _WORK = 5.0, 3600.0


@dataclasses.dataclass(frozen=True)
class Place:
    """The place of a process among those of a run.

    Attributes:
        coordinator: The address and port of process 0, `HOST:PORT`.
        count: How many processes there are.
        index: The number of this one, from 0.
    """

    coordinator: str
    count: int
    index: int


@contextlib.contextmanager
def join(place: Place | None = None, patience: float = 120.0) -> Iterator[Processes]:
    """Join the other processes of the run, before JAX is used, and leave them at the end.

    If there is no place, and no cluster started this process, it stays alone.

    Args:
        place: The place of this process. None looks for a cluster.
        patience: How long the processes wait for each other, in seconds.

    Yields:
        The processes of the run.

    Raises:
        ValueError: If the place is none, or the cluster is one whose processes cannot meet.
        ProcessError: If process 0 does not answer, or was started with another number of processes.

    Example:
        >>> with join() as processes:
        ...     processes.count
        1
    """
    cluster = Cluster() if place else find_cluster()
    if cluster.note:
        print(cluster.note, file=sys.stderr)
    if place is None and not cluster.name:
        yield Processes()
        return
    if place is not None:
        _check(place)
        if place.index:
            _await_coordinator(place, patience)
    _configure()
    lost = "ProcessError: the other processes are lost, or are more or fewer than this one counts."
    with say_at_abort(lost):
        _initialize(place, cluster, patience)
        # After that process 0 may have much to do before the others go on.
        processes = Processes(jax.process_index(), jax.process_count(), max(patience, _WORK))
        try:
            _require_same_count(processes, place.count if place else processes.count)
            yield processes
        finally:
            _leave(processes)


def _configure() -> None:
    settings = {
        # Otherwise JAX aborts all processes when one has ended, without a message of ours.
        "jax_enable_recoverability": True,
        # Otherwise SIGTERM is only noted, by JAX, until training begins.
        "jax_enable_preemption_service": False,
    }
    for name, value in settings.items():
        # Older versions of JAX have neither.
        if hasattr(jax.config, name):
            jax.config.update(name, value)


def _leave(processes: Processes) -> None:
    """Leave, process 0 last, because JAX aborts the others if it goes before them."""
    if processes.leads:
        others = threading.Thread(target=_await_others, args=[processes], daemon=True)
        others.start()
        others.join(_LINGER)
    jax.distributed.shutdown()


def _await_others(processes: Processes) -> None:
    while len(processes.live()) > 1:
        time.sleep(0.1)


def _check(place: Place) -> None:
    host, _, port = place.coordinator.rpartition(":")
    if not host or not port.isdecimal():
        raise ValueError(
            f"the coordinator {place.coordinator!r} must be HOST:PORT, the address of process 0."
        )
    if not 0 <= place.index < place.count:
        raise ValueError(
            f"index={place.index} must be at least 0 and below the number of processes, "
            f"{place.count}."
        )


def _await_coordinator(place: Place, patience: float) -> None:
    """Wait until process 0 listens: JAX aborts without a readable word if it never does."""
    host, _, port = place.coordinator.rpartition(":")
    deadline = time.monotonic() + patience
    while True:
        try:
            with socket.create_connection((host.strip("[]"), int(port)), timeout=5):
                return
        except OSError as error:
            reason = error.strerror or str(error)
        if time.monotonic() > deadline:
            raise ProcessError(
                f"the coordinator {place.coordinator} has not answered for {patience:,.0f} s "
                f"({reason}); is process 0 running there, and is the port open?"
            )
        time.sleep(0.5)


def _initialize(place: Place | None, cluster: Cluster, patience: float) -> None:
    who = f"{place.count} processes" if place else f"the processes of {cluster.name}"
    line = f"not all of {who} have come within {patience:,.0f} s; is each of them running?"
    # JAX would abort instead of raising an error.
    timer = threading.Timer(patience, _give_up, [line])
    timer.daemon = True
    timer.start()
    try:
        if place is None:
            jax.distributed.initialize(
                initialization_timeout=int(patience) + 60, heartbeat_timeout_seconds=HEARTBEAT
            )
        else:
            jax.distributed.initialize(
                place.coordinator,
                place.count,
                place.index,
                cluster_detection_method="deactivate",
                initialization_timeout=int(patience) + 60,
                heartbeat_timeout_seconds=HEARTBEAT,
            )
    finally:
        timer.cancel()


def _give_up(line: str) -> None:
    print(f"ProcessError: {line}", file=sys.stderr, flush=True)
    os._exit(1)


def _require_same_count(processes: Processes, count: int) -> None:
    counts = processes.exchange(str(count))
    differing = [index for index, other in enumerate(counts) if other != counts[0]]
    if differing:
        raise ProcessError(
            f"process {differing[0]} was started as one of {counts[differing[0]]}, but process 0 "
            f"as one of {counts[0]}; start all with the same number."
        )
