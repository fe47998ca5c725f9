#!/bin/bash
# Builds the image of a real engine and prints its size: build.sh IMAGE:TAG
# Debian's llama-server with the small real weights that devcluster uses too, so that neither a
# registry nor a model hub is needed. The weights are at /models/ORGANISATION/NAME.gguf.
set -euo pipefail
cd "$(dirname "$0")/../.."
image=${1:-llama-server:dev}
docker() { deploy/kind/dockerd.sh run docker "$@"; }

.venv/bin/python -m devcluster.engine fetch-real > /dev/null
read -r root model < <(.venv/bin/python - << 'END'
from devcluster.engine import weights

engine = weights.found()
# The program is at usr/bin in the folder of its packages.
print(engine.command[-1].removesuffix("/" + weights.PROGRAM), engine.model)
END
)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cp -a "$root" "$scratch/root"
mkdir -p "$scratch/root/models/HuggingFaceTB" "$scratch/root/tmp"
cp "$model" "$scratch/root/models/HuggingFaceTB/SmolLM2-135M-Instruct.gguf"
tar -C "$scratch/root" --owner=0 --group=0 -c . | docker import \
  --change 'ENTRYPOINT ["/usr/bin/llama-server"]' --change 'USER 65532:65532' \
  --change 'EXPOSE 8080' - "$image" > /dev/null
docker image inspect -f '{{.Size}}' "$image" | awk -v name="$image" '{printf "%s: %.0f MB\n", name, $1 / 1e6}'
