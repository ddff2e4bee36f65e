#!/bin/bash
# Installs the agent behind `aws ssm start-session`, which Debian's images lack and Ubuntu's have as a snap. Run by
# bot-session-agent.service, which tries again when it fails: port 22 is closed, so this is the only way to a shell.
set -euo pipefail
export DEBIAN_FRONTEND=noninteractive NEEDRESTART_MODE=a

# With another endpoint for AWS there is no AWS to register with.
[ -z "${AWS_ENDPOINT_URL:-}" ] || exit 0
for unit in amazon-ssm-agent snap.amazon-ssm-agent.amazon-ssm-agent; do
  ! systemctl is-enabled --quiet "$unit.service" 2>/dev/null || exit 0
done

deb=$RUNTIME_DIRECTORY/agent.deb suffix=
[[ $REGION != cn-* ]] || suffix=.cn
url=https://amazon-ssm-$REGION.s3.$REGION.amazonaws.com$suffix/latest/debian_$(dpkg --print-architecture)/amazon-ssm-agent.deb
# Not by curl: where apt does not work there may be none.
python3 -c 'import sys, urllib.request; urllib.request.urlretrieve(*sys.argv[1:])' "$url" "$deb"
# A bootstrap that was cut off in the middle of apt leaves this to do; what it cannot do does not matter here.
dpkg --configure -a || true
apt-get -qy -o DPkg::Lock::Timeout=60 install "$deb"
systemctl enable --now amazon-ssm-agent.service
