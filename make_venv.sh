#!/bin/sh
# Build .venv with everything the demo and the tests need. Finds a Python 3.10 by itself; does nothing twice.
set -eu
cd "$(dirname "$0")"
unset PIP_USER PIP_TARGET PIP_PREFIX PYTHONHOME PYTHONPATH  # packages belong into .venv: pip takes those on PYTHONPATH for installed
if command -v flock >/dev/null 2>&1; then  # of two at once, the second finds it done
    exec 9<make_venv.sh
    flock -n 9 || { echo "lava-1m1t1r: waiting for another make that builds .venv here"; flock 9 || true; }  # some file systems have no locks
fi
stamp=.venv/.installed place=.venv/.place here=$(pwd -P)  # a folder that was moved, or copied, has an environment that was not
if [ -f "$stamp" ] && [ -x .venv/bin/python ] && [ "$(cat "$place" 2>/dev/null)" = "$here" ] && [ ! pyproject.toml -nt "$stamp" ] && [ ! constraints.txt -nt "$stamp" ] && [ ! make_venv.sh -nt "$stamp" ]; then
    exit 0
fi

is_310() { [ -x "$1" ] && "$1" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info[:2] != (3, 10))' 2>/dev/null; }

find_310() {
    for name in python3.10 python3 python; do
        candidate=$(command -v "$name" 2>/dev/null) || continue
        if is_310 "$candidate"; then echo "$candidate"; return; fi
    done
    for candidate in "${PYENV_ROOT:-${HOME:-/nowhere}/.pyenv}"/versions/3.10*/bin/python; do
        if is_310 "$candidate"; then echo "$candidate"; return; fi
    done
    if command -v uv >/dev/null 2>&1; then
        candidate=$(uv python find 3.10 2>/dev/null) || { uv python install 3.10 >&2 && candidate=$(uv python find 3.10); } || return 1
        if is_310 "$candidate"; then echo "$candidate"; return; fi
    fi
    return 1
}

python=$(find_310) || {
    echo "lava-1m1t1r: no Python 3.10 found (Lava needs exactly that); install it with 'pyenv install 3.10' or 'uv python install 3.10', then run make again." >&2
    exit 1
}
# Of an environment, the Python that it was made with: the environment may be the .venv that is removed below, or go away later.
base=$("$python" -c 'import sys; print(sys.base_prefix + "/bin/python3.10")' 2>/dev/null) && [ -x "$base" ] && python=$base
echo "lava-1m1t1r: building .venv with $python (once, a few minutes)"

# PyPI's torch brings NVIDIA's libraries, wanted or not: the environment takes 6.2 GB, and pip keeps 2.8 GB of wheels in TMPDIR meanwhile.
# A df that cannot tell prints no number, and nothing is refused.
short_of_space() {
    df -Pk . "${TMPDIR:-/tmp}" 2>/dev/null | awk '
        NR == 2 && $4 ~ /^[0-9]+$/ { disk = $1; here = $4 * 1.024e-6 }
        NR == 3 && $4 ~ /^[0-9]+$/ && disk {
            temporary = $4 * 1.024e-6
            if ($1 == disk && here < 9) printf "9 GB of disk space are needed, and %.1f GB are free", here
            else if (here < 6.2) printf "6.2 GB of disk space are needed, and %.1f GB are free", here
            else if (temporary < 2.8) printf "2.8 GB of disk space are needed for temporary files, and %.1f GB are free", temporary
        }'
}

{ is_310 .venv/bin/python && .venv/bin/python -m pip --version >/dev/null 2>&1 && [ "$(cat "$place" 2>/dev/null)" = "$here" ]; } || {
    rm -rf .venv
    short=$(short_of_space) || short=  # no awk here
    if [ -n "$short" ]; then
        echo "lava-1m1t1r: $short. Make room, or set TMPDIR to a folder on another disk, then run make again." >&2
        exit 1
    fi
    trap 'rm -rf .venv' EXIT  # a half-built one is gigabytes of no use
    trap 'exit 130' INT
    trap 'exit 143' TERM
    trap 'exit 129' HUP
    "$python" -m venv .venv
    echo "$here" > "$place"
}
.venv/bin/python -m pip install --quiet --disable-pip-version-check "pip>=23" "setuptools<81" wheel
.venv/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --config-settings editable_mode=compat --editable ".[lava,speech,nir,report,dask,dev]"
touch "$stamp"
trap - EXIT INT TERM HUP
echo "lava-1m1t1r: .venv is ready; '. .venv/bin/activate' makes the command lava-1m1t1r available"
