#!/bin/sh
# run-guest.sh NAME ROOT NAMESPACE MEMINFO CGROUP_MODE FORCE_LEGACY_CGROUPS CONTROL_GROUP...
# Runs one guest until it is powered off; a reboot of the guest starts it again on the same disk.
set -u
name=$1 root=$2 namespace=$3 meminfo=$4 mode=$5 force_legacy=$6
shift 6
for group in "$@"; do
  echo $$ >"$group/cgroup.procs" || exit 1
done
here=$(dirname "$0")
export SYSTEMD_NSPAWN_API_VFS_WRITABLE=network
while :; do
  # nsenter as well as --network-namespace-path: without it nspawn mounts the host's /sys/class/net.
  nsenter --net="/run/netns/$namespace" systemd-nspawn --quiet --directory="$root" --machine="$name" \
    --register=no --keep-unit --network-namespace-path="/run/netns/$namespace" \
    --capability=CAP_NET_ADMIN,CAP_NET_RAW --resolv-conf=off --timezone=off --link-journal=no \
    --kill-signal=SIGRTMIN+3 --console=read-only --system-call-filter='bpf @keyring' \
    --setenv=CGROUP_MODE="$mode" --setenv=FORCE_LEGACY_CGROUPS="$force_legacy" \
    --bind-ro="$meminfo:/run/host/meminfo" \
    --bind-ro="$here/first-process.sh:/run/host/first-process" /run/host/first-process
  status=$?
  echo "[the guest ended with status $status at $(date +%T)]"
  # 133 is what nspawn says when the guest asked for a reboot.
  [ "$status" -eq 133 ] || exit "$status"
done
