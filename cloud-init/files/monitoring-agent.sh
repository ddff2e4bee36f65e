#!/bin/bash
# Installs Amazon's CloudWatch agent and points it at cloudwatch-agent.json. Run by bot-monitoring-agent.service, in the
# background, once the service answers: nothing waits for it, and it tries again when it fails.
set -euo pipefail
export DEBIAN_FRONTEND=noninteractive NEEDRESTART_MODE=a

# With another endpoint for AWS there is no CloudWatch to report to.
[ -z "${AWS_ENDPOINT_URL:-}" ] || exit 0

ctl=/opt/aws/amazon-cloudwatch-agent/bin/amazon-cloudwatch-agent-ctl
if [ ! -x "$ctl" ]; then
  if command -v dnf >/dev/null; then
    dnf -qy install amazon-cloudwatch-agent
  else
    deb=$RUNTIME_DIRECTORY/agent.deb suffix=
    [[ $REGION != cn-* ]] || suffix=.cn
    url=https://amazoncloudwatch-agent-$REGION.s3.$REGION.amazonaws.com$suffix/debian/$(dpkg --print-architecture)/latest/amazon-cloudwatch-agent.deb
    curl -fsS --retry 3 --max-time 240 -o "$deb" "$url"
    apt-get -qy -o DPkg::Lock::Timeout=60 install "$deb"
    rm "$deb"
  fi
fi
# Enables and starts the agent's own unit, too.
"$ctl" -a fetch-config -m ec2 -s -c file:/usr/local/lib/bot/cloudwatch-agent.json
