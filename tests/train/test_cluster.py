"""Which cluster started a process, as the environment tells it."""

import jax
import pytest
from jax.sharding import PartitionSpec

from attn_jax.train import Place, Processes, data_mesh, join
from attn_jax.train.devices import state_sharding
from attn_jax.train.processes.cluster import find_cluster

SLURM = {
    "SLURM_JOB_ID": "7",
    "SLURM_STEP_NODELIST": "node[1-2]",
    "SLURM_NTASKS": "2",
    "SLURM_PROCID": "1",
    "SLURM_LOCALID": "0",
}
MPI = {"OMPI_COMM_WORLD_SIZE": "2", "OMPI_COMM_WORLD_RANK": "1"}


@pytest.mark.parametrize(
    ("environment", "name"),
    [
        ({}, ""),
        (SLURM, "Slurm"),
        ({**SLURM, "SLURM_NTASKS": "1"}, ""),
        ({**MPI, "OMPI_MCA_orte_hnp_uri": "1.0;tcp://10.0.0.1:3"}, "Open MPI"),
        ({"OMPI_COMM_WORLD_SIZE": "1"}, ""),
        ({"KUBERNETES_SERVICE_HOST": "10.0.0.1", "JOB_COMPLETION_INDEX": "0"}, "Kubernetes"),
        ({"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, ""),
    ],
)
def test_a_cluster_is_known_by_the_variables_of_its_launcher(environment, name):
    cluster = find_cluster({"JAX_PLATFORMS": "cpu", **environment})
    assert (cluster.name, cluster.note) == (name, "")


@pytest.mark.parametrize(
    ("hosts", "platforms", "name"),
    [("a,b", "tpu", "TPU"), ("a", "tpu", ""), ("a,b", "cpu", ""), ("a,b", "tpu,cpu", "TPU")],
)
def test_a_tpu_pod_has_several_hosts(monkeypatch, hosts, platforms, name):
    monkeypatch.setattr("attn_jax.train.processes.cluster.find_spec", lambda name: object())
    environment = {"TPU_WORKER_HOSTNAMES": hosts, "JAX_PLATFORMS": platforms}
    assert find_cluster(environment).name == name


def test_a_shell_inside_a_job_is_told_from_its_tasks():
    shell = {name: SLURM[name] for name in ("SLURM_JOB_ID", "SLURM_NTASKS")}
    cluster = find_cluster(shell)
    assert not cluster.name
    assert "\n" not in cluster.note
    assert "job 7 but not one of its tasks (SLURM_STEP_NODELIST, SLURM_PROCID" in cluster.note


def test_an_mpirun_that_does_not_name_process_0_is_refused():
    with pytest.raises(ValueError, match="Open MPI 5 does not; give --distributed"):
        find_cluster(MPI)


@pytest.mark.parametrize(
    ("place", "words"),
    [
        (Place("node1", 2, 0), "'node1' must be HOST:PORT"),
        (Place("node1:x", 2, 0), "'node1:x' must be HOST:PORT"),
        (Place("node1:1", 2, 2), "index=2 must be at least 0 and below the number of processes, 2"),
    ],
)
def test_a_place_that_is_none_is_refused(place, words):
    with pytest.raises(ValueError, match=words), join(place):
        pass


def test_without_a_cluster_a_process_is_alone(monkeypatch):
    for name in SLURM:
        monkeypatch.delenv(name, raising=False)
    with join() as processes:
        assert (processes.count, processes.index, processes.leads) == (1, 0, True)
    assert Processes().exchange("a") == ["a"]


def test_shared_parameters_are_split_by_their_longest_axis():
    mesh = data_mesh(fsdp=2)
    assert dict(mesh.shape) == {"data": 2, "fsdp": 2}
    shapes = [(6, 4), (3, 4), (4, 4), (3, 5), (8,), ()]
    tree = [jax.ShapeDtypeStruct(shape, "float32") for shape in shapes]
    specs = [sharding.spec for sharding in state_sharding(mesh, tree)]
    first, second, whole = PartitionSpec("fsdp"), PartitionSpec(None, "fsdp"), PartitionSpec()
    assert specs == [first, second, first, whole, whole, whole]
    assert {sharding.spec for sharding in state_sharding(data_mesh(), tree)} == {whole}
    with pytest.raises(ValueError, match=r"fsdp=3 must divide .* 4; choose one of \[1, 2, 4\]"):
        data_mesh(fsdp=3)
