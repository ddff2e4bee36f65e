/** The shapes a deployment can take: what holds for every one of them is tested on every one of them. */
import type { BotProps } from '../../stacks/props';

export const TOPOLOGIES: Readonly<Record<string, BotProps>> = {
  defaults: {},
  'burstable, with a console and a literal image': {
    instanceType: 't3.medium',
    console: true,
    adminCidrs: ['192.0.2.0/24'],
    amiId: 'ami-0123456789abcdef0',
    availabilityZone: 'us-east-1c',
    tags: { owner: 'me' },
  },
  'with a domain, e-mails and no plain port': {
    domain: 'chat.example.com',
    alarmEmails: ['ops@example.com'],
    plainPort: false,
  },
  'a named zone, not watched, its key never replaced': {
    domain: 'example.org',
    hostedZone: 'Z0123456789ABCDEFGHIJ',
    monitoring: false,
    keyRotationDays: 0,
  },
  graviton: { instanceType: 'c8g.large', region: 'eu-central-1' },
  'protected, with its state in a bucket': { protect: true, state: { bucket: 'a-team-state' } },
  'IPv6, few ways out, backups, a domain and no plain port': {
    allowedCidrs: ['203.0.113.0/24', '2001:db8::/32'],
    console: true,
    adminCidrs: ['2001:db8:1::/48'],
    egress: 'needed',
    domain: 'chat.example.com',
    plainPort: false,
    backup: { keepDays: 7 },
  },
  'Ubuntu on Graviton, restored': {
    os: 'ubuntu-24.04',
    instanceType: 'c7g.large',
    restoreFromSnapshot: 'snap-0123456789abcdef0',
  },
  'Amazon Linux': { os: 'amazon-linux-2023' },
};
