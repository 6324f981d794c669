#!/bin/sh
# Build .venv with everything the demo and the tests need. Finds a Python 3.10 by itself; does nothing twice.
set -eu
cd "$(dirname "$0")"
unset PIP_USER PIP_TARGET PIP_PREFIX PYTHONHOME  # packages belong into .venv
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
    for root in "${PYENV_ROOT:-${HOME:-/nowhere}/.pyenv}"; do
        for candidate in "$root"/versions/3.10*/bin/python; do
            if is_310 "$candidate"; then echo "$candidate"; return; fi
        done
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
echo "lava-1m1t1r: building .venv with $python (once, a few minutes)"
{ is_310 .venv/bin/python && .venv/bin/python -m pip --version >/dev/null 2>&1 && [ "$(cat "$place" 2>/dev/null)" = "$here" ]; } || { rm -rf .venv; "$python" -m venv .venv; echo "$here" > "$place"; }
.venv/bin/python -m pip install --quiet --disable-pip-version-check "pip>=23" "setuptools<81" wheel
.venv/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[lava,speech,nir,report,dask,dev]"
touch "$stamp"
echo "lava-1m1t1r: .venv is ready; '. .venv/bin/activate' makes the command lava-1m1t1r available"
