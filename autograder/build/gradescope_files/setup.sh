#!/usr/bin/env bash
# Makes the grader's environment, once, as root, when the host builds its image: Python 3.10 or newer, PyTorch for the CPU and
# Otter, all at pinned versions. No conda, no browser, no LaTeX.
set -euo pipefail

source=/autograder/source
home=/opt/grader # not in /root: student code runs as another user, who must be able to read it
export UV_NO_CACHE=1 UV_HTTP_TIMEOUT=300 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1

usable() { "$1" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 10))' 2> /dev/null; }
if ! usable python3; then
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq
  apt-get install -y -qq --no-install-recommends ca-certificates python3 python3-venv > /dev/null
fi
usable python3 || {
  echo "Python 3.10 or newer is needed: choose a newer base image (Ubuntu 22.04 has it) and upload the zip again."
  exit 1
}

umask 022
python3 -m venv "$home"
"$home/bin/python" "$source/autograder/support/install.py" --quiet -c "$source/constraints.txt" -r "$source/requirements.txt"

# Every upload is graded in a fresh container, which would compile again what is not compiled here. Some packages hold files
# that are no valid Python, which does not matter.
"$home/bin/python" -m compileall -qq -j 0 "$home" "$source/autograder" > /dev/null || true
chown -R 0:0 "$source" 2> /dev/null || true
chmod -R go= "$source"
cd "$source"
"$home/bin/python" -c 'import hypothesis, otter, pytest, rich, safetensors, torch, torchvision'
"$home/bin/python" -m autograder isolation
echo "The grader is ready."
