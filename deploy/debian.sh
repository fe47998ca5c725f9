#!/bin/bash
# Prints the path of a minimal Debian file system with the given packages: debian.sh PACKAGE...
# It is made at most once and kept in the cache. Needs root, debootstrap, Debian's archive.
set -euo pipefail
# Its systemd 252 is the last that still runs on cgroup v1, which a host of kind nodes may have.
suite=bookworm
packages=$(printf '%s\n' "$@" | sort | paste -sd,)
trees=${XDG_CACHE_HOME:-$HOME/.cache}/modelfleet/debian
tree=$trees/$suite-$(printf '%s' "$packages" | sha256sum | cut -c1-12)

mkdir -p "$trees"
exec 9> "$tree.lock"
flock 9
if [ ! -d "$tree" ]; then
  mirror=${MODELFLEET_MIRROR:-$(apt-get indextargets --format '$(REPO_URI)' | grep -m1 '/debian/$')}
  work=$(mktemp -d "$trees/.new-XXXXXX")
  trap 'rm -rf "$work"' EXIT
  debootstrap --variant=minbase --include="$packages" "$suite" "$work" "$mirror" > "$tree.log" 2>&1 ||
    { tail -n 20 "$tree.log" >&2; exit 1; }
  rm -rf "$work"/var/cache/apt/* "$work"/var/lib/apt/lists/* "$work"/var/log/* \
    "$work"/usr/share/{doc,man,locale,info}/*
  chmod 755 "$work"
  mv "$work" "$tree"
fi
echo "$tree"
