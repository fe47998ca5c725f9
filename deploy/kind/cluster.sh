#!/bin/bash
# A kind cluster with modelfleet and a real engine on it: cluster.sh up|deploy|down|run COMMAND...
#   up      makes the cluster
#   deploy  builds the images, loads them, installs the chart; the nodes then say that each has 8 GPUs
#   run     runs a command that uses the cluster, as in: cluster.sh run kubectl get models
#   down    removes it, and the Docker daemon if it is ours and has no other
# The node image is that of kind's release where it can be had; else it is built from Debian's
# archive and Go modules. The same for kind, kubectl and helm: those on PATH, else built.
# KIND_CLUSTER names the cluster, KIND_CONFIG another file than kind-config.yaml. Exit code 3: Docker cannot run here.
set -euo pipefail
cd "$(dirname "$0")/../.."
name=${KIND_CLUSTER:-modelfleet}
cache=${XDG_CACHE_HOME:-$HOME/.cache}/modelfleet
kind_version=v0.33.0
own_image=modelfleet-node:$(sed -n 's|^\tk8s.io/kubernetes ||p' devcluster/go/go.mod)
export PATH=$PATH:$cache/kind/programs:$cache/kind/bin

is_own() { [ -S "$cache/docker/docker.sock" ]; }

enter() {
  if is_own; then export KUBECONFIG=$cache/kind/kubeconfig; fi
  deploy/kind/dockerd.sh run "$@"
}

kubectl() { enter kubectl --context "kind-$name" "$@"; }

provide_programs() {
  local folder=$cache/kind/programs
  mkdir -p "$folder"
  command -v kind > /dev/null || GOTOOLCHAIN=local CGO_ENABLED=0 GOFLAGS=-buildvcs=false \
    GOBIN=$cache/kind/bin go install -ldflags "-s -w" "sigs.k8s.io/kind@$kind_version"
  command -v kubectl > /dev/null || ln -sfn "$(.venv/bin/python -m devcluster build)/kubectl" "$folder/kubectl"
  command -v helm > /dev/null || ln -sfn "$(.venv/bin/python -m devcluster.helm 4)" "$folder/helm"
}

# A daemon of our own reaches nothing outside.
has_registry() { ! is_own && timeout 20 docker manifest inspect kindest/node:v1.36.4 > /dev/null 2>&1; }

create() {
  local image=()
  if enter docker image inspect "$own_image" > /dev/null 2>&1; then
    image=(--image "$own_image")
  elif ! has_registry; then
    deploy/kind/build-node-image.sh "$own_image"
    image=(--image "$own_image")
  fi
  enter kind create cluster --name "$name" --config "${KIND_CONFIG:-kind-config.yaml}" "${image[@]}"
}

up() {
  deploy/kind/dockerd.sh start
  provide_programs
  # A machine that went down with a cluster on it leaves containers that do not run.
  if exists && ! is_up; then enter kind delete cluster --name "$name"; fi
  exists || create
}

exists() { enter kind get clusters 2> /dev/null | grep -qx "$name"; }

is_up() { [ "$(enter docker inspect -f '{{.State.Running}}' "$name-control-plane" 2> /dev/null)" = true ]; }

# GPUs that nobody has: the scheduler counts them like real ones, and llama.cpp computes on the CPU.
advertise() {
  local node gpus='{"nvidia.com/gpu":"8"}'
  for node in $(kubectl get nodes -o name); do
    kubectl patch "$node" --subresource=status -p "{\"status\":{\"capacity\":$gpus,\"allocatable\":$gpus}}"
    kubectl label --overwrite "$node" modelfleet.dev/gpus=advertised
  done
}

deploy() {
  provide_programs
  # Until a node has its range of pods there is no network, and it is not ready.
  kubectl wait --for=condition=Ready nodes --all --timeout=120s
  advertise
  deploy/image/build.sh modelfleet:dev
  deploy/engine/build.sh llama-server:dev
  enter kind load docker-image --name "$name" modelfleet:dev llama-server:dev
  # A pod keeps the image of a tag that has moved; another id is another pod.
  enter helm --kube-context "kind-$name" upgrade --install modelfleet charts/modelfleet \
    --namespace modelfleet-system --create-namespace --wait --timeout 5m \
    --set image.repository=modelfleet,image.tag=dev \
    --set podAnnotations.image="$(enter docker image inspect -f '{{.Id}}' modelfleet:dev)" "$@" ||
    { explain >&2; exit 1; }
}

explain() {
  kubectl -n modelfleet-system get pods
  kubectl -n modelfleet-system get events --sort-by=.lastTimestamp | tail -n 10
  kubectl -n modelfleet-system logs deployment/modelfleet --tail=20
}

down() {
  if is_own || docker info > /dev/null 2>&1; then enter kind delete cluster --name "$name"; fi
  if is_own && [ -z "$(enter kind get clusters -q)" ]; then deploy/kind/dockerd.sh stop; fi
}

case ${1:-} in
  up) up ;;
  deploy) shift; deploy "$@" ;;
  run) shift; enter "$@" ;;
  down) down ;;
  *) sed -n '2,9s/^# \?//p' "$0"; exit 2 ;;
esac
