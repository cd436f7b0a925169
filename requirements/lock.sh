#!/usr/bin/env bash
# Writes every lock here again from pyproject.toml. A version changes only where it must; --upgrade
# takes the newest of all, --upgrade-package NAME of one.
set -euo pipefail
cd "$(dirname "$0")/.."
options=("$@")

# compile LOCK SOURCES... locks every platform, and every Python from 3.11 on. No source is built but
# promise's, which has no wheel, and that with the setuptools of the lock.
compile() {
  local lock="requirements/$1.lock"
  shift
  .venv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
    --no-emit-index-url --no-emit-find-links --no-annotate --no-header \
    --no-build-isolation --only-binary :all: --no-binary promise \
    --output-file "$lock" "$@" ${options[@]+"${options[@]}"}
}

# extra NAME prints what the extra adds.
extra() {
  .venv/bin/python - "$1" <<'PYTHON'
import sys
import tomllib

with open("pyproject.toml", "rb") as file:
    print(*tomllib.load(file)["project"]["optional-dependencies"][sys.argv[1]], sep="\n")
PYTHON
}

# compile_lens LOCK OPTIONS... locks TransformerLens, without a dependency that comes as source only
# and that nothing imports.
compile_lens() {
  compile "$@" --group lens -c requirements/parity.lock \
    --override <(echo "transformers-stream-generator ; python_version < '0'")
}

compile base pyproject.toml --extra all --group test
compile build --group build -c requirements/base.lock
compile dev pyproject.toml --group dev -c requirements/base.lock
for device in cuda tpu; do
  compile "$device" -c requirements/base.lock <(extra "$device")
done
compile oldest --group oldest
for peers in parity bridge; do
  compile "$peers" --group "$peers" -c requirements/base.lock -c requirements/dev.lock
done
compile_lens lens
# transformers 4, and tunix, need older packages than base has, which their environments put in front.
for group in interop interop-all; do
  compile "$group" --group "$group" -c <(
    sed -n '/^[^ ]/s/ \\$//p' requirements/base.lock requirements/dev.lock | grep -vE '^(huggingface-hub|tokenizers|safetensors)=='
  )
done

# The registry has no CPU build of PyTorch for Linux: the locks admit the wheels that pip finds here.
for peers in parity bridge; do
  torch="$(sed -n 's/^torch==\([^ ]*\).*/torch==\1+cpu/p' "requirements/$peers.lock")"
  compile "$peers-cpu" --group "$peers" -c requirements/base.lock -c requirements/dev.lock \
    -c <(echo "$torch") ${PIP_FIND_LINKS:+--find-links "$PIP_FIND_LINKS"} ||
    echo "$peers-cpu.lock stays as it was: PIP_FIND_LINKS names no folder with a wheel of $torch"
done
torch="$(sed -n 's/^torch==\([^ ]*\).*/torch==\1+cpu/p' requirements/parity.lock)"
compile_lens lens-cpu -c <(echo "$torch") ${PIP_FIND_LINKS:+--find-links "$PIP_FIND_LINKS"} ||
  echo "lens-cpu.lock stays as it was: PIP_FIND_LINKS names no folder with a wheel of $torch"
