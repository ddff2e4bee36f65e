#!/bin/sh
# Process 1 of the guest before systemd. Three things make a container pass for an EC2 instance:
#
# 1. /sys/hypervisor/uuid starts with "ec2", so that cloud-init, unpatched, takes its way of EC2. There is no such
#    folder in /sys, so /sys becomes a read-only tmpfs of bind mounts with one folder more.
# 2. systemd may make control groups (the services' MemoryMax and the like): with v1, each controller is mounted
#    writable (the control group namespace keeps the guest in its own part); with v2, the one tree is.
# 3. /proc/meminfo says what the instance has. The control group caps the memory, but the file would show the host's,
#    and a service that sizes itself by it would be tried on the wrong machine.
if [ ! -e /sys/hypervisor ]; then
  mount --make-rprivate /
  mkdir -p /run/.sys
  mount -t tmpfs -o mode=755,size=64k tmpfs /run/.sys
  for entry in /sys/*; do
    mkdir "/run/.sys/${entry##*/}"
    mount --rbind "$entry" "/run/.sys/${entry##*/}"
  done
  mkdir /run/.sys/hypervisor
  echo ec2a1b2c-1111-2222-3333-444455556666 >/run/.sys/hypervisor/uuid
  echo xen >/run/.sys/hypervisor/type
  mount -o remount,ro,bind /run/.sys
  mount --move /run/.sys /sys 2>/dev/null || mount --rbind /run/.sys /sys
fi

mount --bind /run/host/meminfo /proc/meminfo

mode=$CGROUP_MODE
force_legacy=$FORCE_LEGACY_CGROUPS
unset CGROUP_MODE FORCE_LEGACY_CGROUPS
case $mode in
  hybrid)
    for controller in /sys/fs/cgroup/*; do
      [ -L "$controller" ] && continue
      mount -o remount,rw,bind "$controller" 2>/dev/null || mount -o remount,rw "$controller"
    done
    # systemd 256 and later refuse cgroup v1 without this word on the kernel's command line.
    [ -n "$force_legacy" ] && exec /sbin/init SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1
    ;;
  unified)
    umount -l /sys/fs/cgroup
    mount -t cgroup2 -o nsdelegate,rw cgroup2 /sys/fs/cgroup 2>/dev/null || mount -t cgroup2 cgroup2 /sys/fs/cgroup
    ;;
esac
exec /sbin/init
