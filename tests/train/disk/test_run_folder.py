import json

import jax
import jax.numpy as jnp
import pytest

from attn_jax.train import RunFolderError, data_mesh, read_command
from attn_jax.train.disk.run_folder import (
    require_new,
    require_same,
    require_space,
    require_writable,
    write_command,
)

MESH = data_mesh(jax.devices()[:1])
COMMAND = {"experiment": "tiny", "options": {"epochs": 3, "seed": 0}}


def test_the_command_is_read_as_written_with_versions_and_device(tmp_path):
    write_command(tmp_path, COMMAND, MESH)
    command = read_command(tmp_path)
    assert {name: command[name] for name in COMMAND} == COMMAND
    assert command["versions"]["jax"] == jax.__version__
    assert command["device"] == {"platform": "cpu", "kind": "cpu", "count": 1}
    assert require_same(tmp_path, COMMAND, MESH) == []


def test_a_differing_command_is_refused_with_the_difference(tmp_path):
    write_command(tmp_path, COMMAND, MESH)
    other = {"experiment": "tiny", "options": {"epochs": 4, "seed": 0}}
    with pytest.raises(RunFolderError) as refusal:
        require_same(tmp_path, other, MESH)
    assert '-    "epochs": 3,\n+    "epochs": 4,' in str(refusal.value)
    assert "seed" not in str(refusal.value)


def test_other_devices_and_versions_are_only_reported(tmp_path):
    write_command(tmp_path, COMMAND, MESH)
    stored = json.loads((tmp_path / "command.json").read_text())
    stored["versions"]["jax"] = "0.0.1"
    del stored["sha256"]
    (tmp_path / "command.json").write_text(json.dumps(stored))
    versions, device = require_same(tmp_path, COMMAND, data_mesh())
    assert '-  "jax": "0.0.1"' in versions
    assert '-  "count": 1' in device
    assert '+  "count": 4' in device


def test_a_folder_that_holds_a_run_is_not_begun_in(tmp_path):
    require_new(tmp_path)
    write_command(tmp_path, COMMAND, MESH)
    with pytest.raises(RunFolderError, match="holds a run already; resume it"):
        require_new(tmp_path)


@pytest.mark.parametrize("text", [None, "{", ""])
def test_a_folder_that_holds_no_run_is_not_resumed(tmp_path, text):
    if text is not None:
        (tmp_path / "command.json").write_text(text)
    with pytest.raises(RunFolderError, match=r"cannot be read .*(is .* a run\?|or train again)"):
        read_command(tmp_path)


def test_a_changed_command_is_refused_until_its_checksum_is_removed(tmp_path):
    write_command(tmp_path, COMMAND, MESH)
    path = tmp_path / "command.json"
    path.write_text(path.read_text().replace('"seed": 0', '"seed": 1'))
    with pytest.raises(RunFolderError, match=r"edited it, remove its entry sha256\); restore the"):
        read_command(tmp_path)
    stored = json.loads(path.read_text())
    del stored["sha256"]
    path.write_text(json.dumps(stored))
    assert read_command(tmp_path)["options"]["seed"] == 1


def test_a_folder_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(RunFolderError, match="cannot be written: Not a directory"):
        require_writable(tmp_path / "file" / "run")


def test_checkpoints_that_will_not_fit_are_refused(tmp_path):
    arrays = {"x": jnp.zeros((3, 5)), "rng": jax.random.key(0)}
    require_space(tmp_path, arrays, 5)
    with pytest.raises(RunFolderError, match=r"MiB free, but 9,999,999,999 checkpoints of 1 MiB"):
        require_space(tmp_path, arrays, 9_999_999_999)
