#!/bin/sh
# forwarding.sh acquire|release RUN
# Turns IPv4 forwarding on for the first run of the box on this machine, and back to what it was after the last.
# Several runs may stand at once, so that none of them can simply remember "what it was".
set -eu
users=/run/botstack-e2e/forwarding
setting=/proc/sys/net/ipv4/ip_forward
mkdir -p "$users"
exec 9>"$users/.lock"
flock 9
case $1 in
  acquire)
    [ -n "$(ls "$users")" ] || cat "$setting" >"$users/.before"
    : >"$users/$2"
    echo 1 >"$setting"
    ;;
  release)
    rm -f "$users/$2"
    if [ -z "$(ls "$users")" ] && [ -s "$users/.before" ]; then
      cat "$users/.before" >"$setting"
      rm -rf /run/botstack-e2e
    fi
    ;;
esac
