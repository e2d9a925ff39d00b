#!/usr/bin/env bash
# Measures fits on an NVIDIA GPU, without network, in 12 minutes; a second run continues where the first one stopped.
#
#   python benchmarks/gpu.py prepare NAME=SOURCE.npy,TARGET.npy   here: the rows, 60 MB at most, in benchmarks/gpu-data
#   benchmarks/gpu.sh [--minutes N] [--out FILE]                  there: appends to benchmarks/results/gpu.jsonl
#   benchmarks/gpu.sh --smoke                                     anywhere: the same with tiny planted rows on the CPU
#
# PYTHON names the interpreter; by default the one in .venv, then python3. Packages that it lacks can lie as wheels in
# benchmarks/gpu-data/wheels. The exit code is 0 when all is recorded, 1 when time ran out and 3 when something is missing.
set -euo pipefail
cd "$(dirname "$0")/.."

python=${PYTHON:-$([ -x .venv/bin/python ] && echo .venv/bin/python || echo python3)}
command -v "$python" >/dev/null || { echo "Missing: the interpreter $python; set PYTHON." >&2; exit 3; }

site=$(mktemp -d)
trap 'rm -rf "$site"' EXIT
shopt -s nullglob
wheels=(benchmarks/gpu-data/wheels/*.whl)
if [ ${#wheels[@]} -gt 0 ]; then
    "$python" -m pip install -q --no-index --no-deps --no-compile --target "$site" "${wheels[@]}"
fi
export PYTHONPATH="$PWD/src:$site${PYTHONPATH:+:$PYTHONPATH}"
if ! "$python" -c 'import importlib.metadata as m; m.version("interlingua")' 2>/dev/null; then
    # A checkout that is not installed lacks the version that the package reads.
    version=$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
    mkdir "$site/interlingua-$version.dist-info"
    printf 'Metadata-Version: 2.1\nName: interlingua\nVersion: %s\n' "$version" \
        >"$site/interlingua-$version.dist-info/METADATA"
fi
"$python" benchmarks/gpu.py measure "$@"
