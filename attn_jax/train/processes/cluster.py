"""The clusters whose launchers say which process of a run this is."""

import os
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

_SLURM = ("SLURM_STEP_NODELIST", "SLURM_NTASKS", "SLURM_PROCID", "SLURM_LOCALID")


class Cluster(NamedTuple):
    """A cluster that the environment describes.

    Attributes:
        name: Its name; empty if there is none.
        note: A line for the user; empty if there is nothing to say.
    """

    name: str = ""
    note: str = ""


def find_cluster(environment: Mapping[str, str] = os.environ) -> Cluster:
    """Find the cluster whose launcher started this process.

    Args:
        environment: The environment variables.

    Returns:
        The cluster.

    Raises:
        ValueError: If it is one whose processes cannot find each other.

    Example:
        >>> find_cluster({"SLURM_JOB_ID": "7", "SLURM_NTASKS": "2"}).name
        ''
    """
    if int(environment.get("OMPI_COMM_WORLD_SIZE", 1)) > 1:
        if "OMPI_MCA_orte_hnp_uri" not in environment:
            raise ValueError(
                "this mpirun does not tell where process 0 is, as Open MPI 5 does not; give "
                "--distributed HOST:PORT $OMPI_COMM_WORLD_SIZE $OMPI_COMM_WORLD_RANK."
            )
        return Cluster("Open MPI")
    if "SLURM_JOB_ID" in environment:
        missing = [name for name in _SLURM if name not in environment]
        if not missing:
            return Cluster("Slurm" if int(environment["SLURM_NTASKS"]) > 1 else "")
        return Cluster(
            note=f"This shell is inside Slurm's job {environment['SLURM_JOB_ID']} but not one of "
            f"its tasks ({', '.join(missing)} is not set), so one process trains alone; `srun` "
            "starts a process for each task."
        )
    if "KUBERNETES_SERVICE_HOST" in environment and "JOB_COMPLETION_INDEX" in environment:
        return Cluster("" if _has_tpu(environment) else "Kubernetes")
    return Cluster("TPU" if _has_tpu(environment) else "")


def _has_tpu(environment: Mapping[str, str]) -> bool:
    chosen = environment.get("JAX_PLATFORMS", "tpu").split(",")
    if "tpu" not in chosen or find_spec("libtpu") is None:
        return False
    hosts = environment.get("TPU_PROCESS_ADDRESSES") or environment.get("TPU_WORKER_HOSTNAMES", "")
    if hosts or "TPU_SKIP_MDS_QUERY" in environment:
        return "," in hosts
    # Google's virtual machines ask a server for the other hosts of their pod.
    return any(any(Path("/dev").glob(names)) for names in ("accel[0-9]*", "vfio/[0-9]*"))
