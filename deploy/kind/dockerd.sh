#!/bin/bash
# A Docker daemon of our own, for machines where none runs: dockerd.sh start|stop|run COMMAND...|with COMMAND...
#
# It has its own network, mounts and processes (namespaces), so that it reaches nothing outside,
# and nothing of it stays when it ends: containers, bridges, firewall rules. Images stay in the cache.
# `run` runs a command with DOCKER_HOST set in the daemon's network, where a cluster's ports are;
# where a daemon was running already, it just runs the command. `with` runs one outside, with the
# daemon started before and stopped after, unless it ran already. Exit code 3: none can be started.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
home=${XDG_CACHE_HOME:-$HOME/.cache}/modelfleet/docker
socket=unix://$home/docker.sock
# What kubelets set, for the whole machine. It is put back at the end.
settings=(vm/overcommit_memory vm/panic_on_oom kernel/panic kernel/panic_on_oops kernel/keys/root_maxkeys
  kernel/keys/root_maxbytes fs/inotify/max_user_instances fs/inotify/max_user_watches)

pid() { # of the first process in the daemon's namespaces
  local found
  found=$(cat "$home/pid" 2> /dev/null) && grep -qs "$home" "/proc/$found/cmdline" && echo "$found"
}

answers() { docker -H "$1" info > /dev/null 2>&1; }

impossible() {
  local program
  [ "$(id -u)" = 0 ] || { echo "a Docker daemon can only be started by root"; return; }
  for program in docker dockerd containerd runc iptables ip unshare nsenter; do
    command -v "$program" > /dev/null ||
      { echo "$program is not here: apt-get install docker.io containerd runc iptables"; return; }
  done
  unshare --net --mount --pid --fork true 2> /dev/null || echo "no namespaces can be made: run with --privileged"
}

start() {
  local reason name runtime=()
  if [ -n "$(pid)" ]; then return; fi
  reason=$(impossible)
  [ -z "$reason" ] || { echo "$reason" >&2; exit 3; }
  mkdir -p "$home"
  rm -rf "$home/settings" "$home/docker.sock" "$home/exec" "$home/daemon.pid"
  for name in "${settings[@]}"; do
    [ ! -r "/proc/sys/$name" ] || echo "$name $(cat "/proc/sys/$name")" >> "$home/settings"
  done
  # Bit 24 of the capabilities that processes may hold at most.
  if ! ((0x$(awk '/CapBnd/{print $2}' /proc/self/status) >> 24 & 1)); then
    runtime=(--add-runtime within-bounds="$here/within-bounds" --default-runtime within-bounds)
  fi
  # The shell stays, and as process 1 it buries what containers leave.
  setsid unshare --net --mount --pid --fork --kill-child --mount-proc bash -c '
      ip link set lo up
      "$@" & wait' "$home" \
    dockerd --data-root "$home/data" --exec-root "$home/exec" --pidfile "$home/daemon.pid" -H "$socket" \
    --bridge none "${runtime[@]}" > "$home/log" 2>&1 < /dev/null &
  local outer=$!
  for _ in $(seq 300); do
    kill -0 "$outer" 2> /dev/null || break
    pgrep -P "$outer" > "$home/pid" || true
    if answers "$socket"; then return; fi
    sleep 0.1
  done
  stop
  tail -n 5 "$home/log" >&2
  exit 1
}

stop() {
  local first name value tree
  first=$(pid) || first=
  [ -n "$first" ] || return 0
  kill -KILL "$first"
  for _ in $(seq 100); do [ -d "/proc/$first" ] || break; sleep 0.1; done
  rm -f "$home/pid" "$home/docker.sock" "$home/daemon.pid"
  while read -r name value; do echo "$value" > "/proc/sys/$name"; done < "$home/settings"
  for tree in /sys/fs/cgroup/docker /sys/fs/cgroup/*/docker; do
    [ ! -d "$tree" ] || find "$tree" -depth -type d -exec rmdir {} + 2> /dev/null || true
  done
}

run() {
  local first
  first=$(pid) || first=
  if [ -n "$first" ]; then
    DOCKER_HOST=$socket exec nsenter --target "$first" --net "$@"
  fi
  exec "$@"
}

with() {
  if [ -z "$(pid)" ] && ! docker info > /dev/null 2>&1; then
    start
    trap stop EXIT
  fi
  "$@"
}

case ${1:-} in
  start) if ! docker info > /dev/null 2>&1; then start; fi ;;
  with) shift; with "$@" ;;
  stop) stop ;;
  run) shift; run "$@" ;;
  *) sed -n '2,8s/^# \?//p' "$0"; exit 2 ;;
esac
