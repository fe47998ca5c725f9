#!/bin/bash
# Builds the image and prints its size: build.sh IMAGE:TAG
# On the base that the Dockerfile names where it can be had (BASE=... names another); else, and with
# BASE=local, with no container registry: then the base is Debian's Python in a minimal file system,
# and the wheels are fetched beforehand, so that the build itself needs no network.
set -euo pipefail
cd "$(dirname "$0")/../.."
image=${1:-modelfleet:dev}
wheels=deploy/image/wheels
arguments=(-q -f deploy/image/Dockerfile -t "$image"
  --build-arg REVISION="$(git rev-parse HEAD 2> /dev/null || echo unknown)")

docker() { deploy/kind/dockerd.sh run docker "$@"; }

has() { docker image inspect "$1" > /dev/null 2>&1 || docker pull -q "$1" > /dev/null 2>&1; }

fetch() {
  local pip=.venv/bin/pip
  [ -x "$pip" ] || pip="uvx pip"
  $pip download -q --only-binary :all: --python-version "$python" --dest "$wheels" "$@"
}

build_locally() {
  local tree base python
  tree=$(deploy/debian.sh ca-certificates libpython3-stdlib python3-minimal)
  base=modelfleet-base:$(basename "$tree")
  docker image inspect "$base" > /dev/null 2>&1 || tar -C "$tree" -c . | docker import - "$base" > /dev/null
  # The interpreter of the base, not this machine's, decides which wheels fit.
  python=$(chroot "$tree" python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')
  trap 'rm -f "$wheels"/*.whl' EXIT
  rm -f "$wheels"/*.whl
  fetch --no-deps --require-hashes -r deploy/image/requirements.lock
  fetch 'hatchling>=1.27' pip
  mv "$wheels"/pip-*.whl "$wheels/pip.whl"
  # The classic builder: BuildKit's is a package of its own that not every machine has.
  DOCKER_BUILDKIT=0 docker build --network none "${arguments[@]}" \
    --build-arg BASE="$base" --build-arg PIP="python3 /wheels/pip.whl/pip" \
    --build-arg PIP_NO_INDEX=1 --build-arg PIP_FIND_LINKS=/wheels . 2> >(grep -v -i 'builder\|buildkit\|environment-var' >&2)
}

BASE=${BASE:-$(sed -n 's/^ARG BASE=//p' deploy/image/Dockerfile)}
if [ "$BASE" != local ] && has "$BASE"; then
  docker build "${arguments[@]}" --build-arg BASE="$BASE" .
else
  build_locally
fi > /dev/null
docker image inspect -f '{{.Size}}' "$image" | awk -v name="$image" '{printf "%s: %.0f MB\n", name, $1 / 1e6}'
