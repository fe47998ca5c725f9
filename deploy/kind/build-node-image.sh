#!/bin/bash
# Builds a node image for kind with no container registry: build-node-image.sh IMAGE
# From Debian's archive and Go modules; Kubernetes is the program that devcluster builds and keeps.
# Needs root, a Docker daemon, Go, debootstrap and containerd.
set -euo pipefail
image=$1
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/../.."
kind_version=v0.33.0 coredns_version=v1.14.2
work=${XDG_CACHE_HOME:-$HOME/.cache}/modelfleet/kind
bin=$work/bin

docker() { deploy/kind/dockerd.sh run docker "$@"; }

build_programs() {
  export GOTOOLCHAIN=local CGO_ENABLED=0 GOFLAGS=-buildvcs=false GOBIN=$bin
  mkdir -p "$bin"
  [ -x "$bin/kind" ] || go install -ldflags "-s -w" "sigs.k8s.io/kind@$kind_version"
  [ -x "$bin/coredns" ] || go install -ldflags "-s -w" "github.com/coredns/coredns@$coredns_version"
  [ -x "$bin/pause" ] || go build -ldflags "-s -w" -o "$bin/pause" deploy/kind/pause.go
  kubernetes=$(.venv/bin/python -m devcluster build)
  version=$("$kubernetes/kubeadm" version -o short)
  files=$(go env GOMODCACHE)/sigs.k8s.io/kind@$kind_version/images/base/files
}

# The image of all parts of the control plane: the program under each name, what node-network is
# written in, and iptables with every library that one of its match modules needs.
assemble_parts() { # FOLDER
  local folder=$1 name suffix modules=usr/lib/x86_64-linux-gnu/xtables
  mkdir -p "$folder"/usr/{bin,sbin,lib,lib64,local/bin} "$folder/tmp"
  for name in bin sbin lib lib64; do ln -s "usr/$name" "$folder/$name"; done
  (cd "$tree" && cp -a --parents usr/sbin/xtables-nft-multi $modules "$folder/" &&
    cp -aL --parents usr/bin/{dash,ip,cat,cmp,mv,rm,sleep} "$folder/")
  ln -s dash "$folder/usr/bin/sh"
  while read -r name; do
    mkdir -p "$folder$(dirname "$name")" && cp -L "$tree$name" "$folder$name"
  done < <(chroot "$tree" sh -c "ldd /usr/sbin/xtables-nft-multi /usr/bin/dash /usr/bin/ip /usr/bin/cat \
    /usr/bin/mv /usr/bin/cmp /$modules/*.so" | grep -o '/[^ :]*\.so[^ :]*' | grep -v xtables/ | sort -u)
  for name in iptables ip6tables; do
    for suffix in "" -save -restore; do ln -s xtables-nft-multi "$folder/usr/sbin/$name$suffix"; done
  done
  cp "$kubernetes/k8s" deploy/kind/node-network "$folder/usr/local/bin/"
  for name in etcd kube-apiserver kube-controller-manager kube-scheduler kube-proxy; do
    ln -s k8s "$folder/usr/local/bin/$name"
  done
}

import_images() { # FOLDER: writes images.tar there
  local folder=$1 names name parts=() path='ENV PATH=/usr/local/bin:/usr/sbin:/usr/bin'
  names=$("$kubernetes/kubeadm" config images list --kubernetes-version "$version")
  named() { grep "/$1:" <<< "$names"; }
  parts=(localhost/node-network:local)
  for name in kube-apiserver kube-controller-manager kube-scheduler kube-proxy etcd; do
    parts+=("$(named "$name")")
  done
  tar -C "$folder/parts" -c . | docker import --change "$path" - "${parts[0]}"
  for name in "${parts[@]:1}"; do docker tag "${parts[0]}" "$name"; done
  # kind's configuration of containerd names 3.10.
  tar -C "$bin" -c pause | docker import --change 'ENTRYPOINT ["/pause"]' - registry.k8s.io/pause:3.10
  docker tag registry.k8s.io/pause:3.10 "$(named pause)"
  tar -C "$bin" -c coredns | docker import --change 'ENTRYPOINT ["/coredns"]' - "$(named coredns)"
  docker save -o "$folder/images.tar" "${parts[@]}" registry.k8s.io/pause:3.10 \
    "$(named pause)" "$(named coredns)"
}

# What kind's own Dockerfile of the base image does, on Debian's packages.
assemble_node() { # FOLDER
  local node=$1 name
  cp -a "$tree" "$node"
  cp -r "$files"/. "$node/"
  chmod 755 "$node/kind" "$node"/kind/bin/* "$node"/usr/local/bin/*
  printf %s "$version" > "$node/kind/version"
  mkdir -p "$node"/kind/manifests "$node"/etc/kubernetes/manifests "$node"/opt/cni
  cp deploy/kind/default-cni.yaml deploy/kind/default-storage.yaml "$node/kind/manifests/"
  cp "$kubernetes/k8s" "$node/usr/bin/k8s"
  for name in kubelet kubeadm kubectl; do ln -s k8s "$node/usr/bin/$name"; done
  ln -s /usr/bin/containerd "$node/usr/local/bin/containerd" # where kind's unit looks
  ln -s /usr/lib/cni "$node/opt/cni/bin"                     # where containerd looks
  chroot "$node" ctr oci spec |
    jq '.hooks.createContainer[.hooks.createContainer|length] |= . + {"path": "/kind/bin/mount-product-files.sh"} | del(.process.rlimits)' \
      > "$node/etc/containerd/cri-base.json"
  find "$node/lib/systemd/system/sysinit.target.wants/" -name systemd-tmpfiles-setup.service -delete
  rm -f "$node"/lib/systemd/system/{multi-user,local-fs,basic}.target.wants/* \
    "$node"/etc/systemd/system/*.wants/* "$node"/lib/systemd/system/sockets.target.wants/*{udev,initctl}*
  echo ReadKMsg=no >> "$node/etc/systemd/journald.conf"
  # Without CAP_SYS_RESOURCE nobody may lower an oom_score_adj.
  sed -i "s/restrict_oom_score_adj = false/restrict_oom_score_adj = true/" "$node/etc/containerd/config.toml"
  chroot "$node" systemctl -q enable kubelet containerd undo-mount-hacks
  chroot "$node" systemctl -q mask systemd-binfmt
}

# The images go into the store of the node's containerd; they are unpacked on first use.
preload() ( # FOLDER
  cd "$1"
  printf 'version = 2\ndisabled_plugins = ["io.containerd.grpc.v1.cri"]\n' > containerd.toml
  containerd -c containerd.toml --root "$1/node/var/lib/containerd" --state "$1/state" \
    --address "$1/socket" > containerd.log 2>&1 &
  trap 'kill %1 2> /dev/null && wait %1 || true' EXIT
  for _ in $(seq 100); do [ -S socket ] && break; sleep 0.1; done
  ctr -a "$1/socket" -n k8s.io images import --no-unpack images.tar
)

build_programs
tree=$(deploy/debian.sh systemd systemd-sysv containerd runc containernetworking-plugins iptables \
  conntrack iproute2 ethtool kmod procps jq ca-certificates)
scratch=$(mktemp -d "$work/.node-XXXXXX")
trap 'rm -rf "$scratch"' EXIT
assemble_parts "$scratch/parts"
import_images "$scratch" > /dev/null
assemble_node "$scratch/node"
preload "$scratch" > /dev/null
# An import cannot set the stop signal: a build adds what describes the image.
tar -C "$scratch/node" -c . | docker import - modelfleet-node-files > /dev/null
printf '%s\n' 'FROM modelfleet-node-files' 'ENV container=docker' 'STOPSIGNAL SIGRTMIN+3' \
  'ENTRYPOINT ["/usr/local/bin/entrypoint","/sbin/init"]' |
  DOCKER_BUILDKIT=0 docker build -q -t "$image" - > /dev/null 2>&1
docker image inspect -f '{{.Size}}' "$image" | awk -v name="$image" '{printf "%s: %.0f MB\n", name, $1 / 1e6}'
