#!/bin/sh
# .venv from the locks: install.sh PYTHON TORCH, where TORCH is cpu or cuda. PyPI has the build for CUDA (on macOS: for
# CPUs), TORCH_INDEX the one for CPUs. A .venv that exists keeps its Python and its build of torch:
# install.sh --check PYTHON TORCH fails where they are others than those asked for.
set -eu
[ "$1" = --check ] && check=yes && shift || check=
python=$1
torch=$2
index=${TORCH_INDEX:-https://download.pytorch.org/whl/cpu}
fail() { echo "$1" >&2; exit 2; }

case $torch in cpu | cuda) ;; *) fail "TORCH=$torch: cpu or cuda is needed" ;; esac
version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])') || fail "PYTHON=$python does not run"
case $version in 3.1[1-4]) ;; *) fail "Python 3.11 to 3.14 is needed, not $version: make PYTHON=python3.11" ;; esac
if [ "$check" ]; then
    made=$(cat .venv/bin/.installed)
    [ "$made" = "$version $torch" ] && exit
    fail ".venv has Python and torch ${made:-of another time}, not $version $torch: rm -rf .venv, then the same again"
fi
"$python" -m venv .venv
install() { .venv/bin/python -m pip install --quiet --disable-pip-version-check "$@"; }
# Without a way to that index: no retries, one message.
if [ "$torch" = cpu ] && ! install --retries 0 --timeout 5 --no-deps --index-url "$index" \
    --constraint locks/torch.lock torch 2>/dev/null; then
    echo "No torch at $index: taking the default one, on Linux x86_64 the 3.7 GB larger one for CUDA" >&2
fi
# The lock is only a constraint here: the build for CPUs does not ask for NVIDIA's packages.
install --constraint locks/torch.lock torch
install --no-deps --require-hashes --requirement locks/compute.lock --requirement locks/report.lock \
    --requirement locks/operations.lock --requirement locks/export.lock --requirement locks/tools.lock
echo "$version $torch" >.venv/bin/.installed
