#!/usr/bin/env bash
# Creates the virtual environment and installs one pinned requirements file into it. Repeatable.
set -euo pipefail
venv=$1 requirements=$2 python=${PYTHON:-python3}
say() { printf '%s\n' "orchestcode: $*" >&2; }
command -v "$python" >/dev/null || { say "no $python found: install Python 3.11 or newer (Debian: apt install python3 python3-venv)."; exit 1; }
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { say "$("$python" --version) is too old: Python 3.11 or newer is needed; name one with PYTHON=... make."; exit 1; }
command -v git >/dev/null || { say "git is missing: install it (Debian: apt install git)."; exit 1; }
if [ ! -x "$venv/bin/python" ]; then
  if "$python" -c 'import ensurepip' 2>/dev/null; then
    "$python" -m venv "$venv"
  elif "$python" -m pip --version >/dev/null 2>&1; then
    "$python" -m venv --without-pip "$venv"
  else
    say "Python has neither ensurepip nor pip: install them (Debian: apt install python3-venv)."; exit 1
  fi
fi
if "$venv/bin/python" -c 'import pip' 2>/dev/null; then pip=("$venv/bin/python" -m pip); else pip=("$python" -m pip --python "$venv/bin/python"); fi
say "installing $requirements into $venv"
"${pip[@]}" install --quiet --disable-pip-version-check --require-hashes --no-deps -r "$requirements" || {
  say "the packages of $requirements could not be installed: is the package index reachable?"; exit 1; }
