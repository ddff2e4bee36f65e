/**
 * The EC2 instance metadata service, version 2 only: `imds-server.ts FOLDER ADDRESS PORT`, run inside the VPC.
 *
 * FOLDER holds one file per guest, named by its address (`10.201.0.10.json`, an `InstanceMetadata`); a guest is told
 * apart by the address it asks from, and its file is read at each request. Version 1 (no token) is refused, as the
 * stack asks of EC2.
 */
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { join } from 'node:path';

export interface InstanceMetadata {
  instanceId: string;
  imageId: string;
  instanceType: string;
  region: string;
  availabilityZone: string;
  accountId: string;
  ip: string;
  mac: string;
  vpcId: string;
  subnetId: string;
  subnetCidr: string;
  /** Name of the instance's role and what `security-credentials/ROLE` answers; neither without a profile. */
  role?: { name: string; profileArn: string; credentials: object };
  /** What the instance was started with, base64. */
  userData: string;
}

const API_VERSIONS = ['2016-09-02', '2018-09-24', '2020-10-27', '2021-03-23', 'latest'];
const MAX_TTL_SECONDS = 21_600;

/** Everything below `/latest/`, by its full path. Listings follow from the paths. */
export function metadataTree(m: InstanceMetadata): Record<string, string> {
  const localName = `ip-${m.ip.replaceAll('.', '-')}.${m.region}.compute.internal`;
  const nic = `meta-data/network/interfaces/macs/${m.mac}`;
  const identity = {
    accountId: m.accountId,
    architecture: 'x86_64',
    availabilityZone: m.availabilityZone,
    imageId: m.imageId,
    instanceId: m.instanceId,
    instanceType: m.instanceType,
    pendingTime: '2026-01-01T00:00:00Z',
    privateIp: m.ip,
    region: m.region,
    version: '2017-09-30',
  };
  const tree: Record<string, string> = {
    'dynamic/instance-identity/document': JSON.stringify(identity, null, 1),
    'meta-data/ami-id': m.imageId,
    'meta-data/ami-launch-index': '0',
    'meta-data/hostname': localName,
    'meta-data/instance-id': m.instanceId,
    'meta-data/instance-life-cycle': 'on-demand',
    'meta-data/instance-type': m.instanceType,
    'meta-data/local-hostname': localName,
    'meta-data/local-ipv4': m.ip,
    'meta-data/mac': m.mac,
    'meta-data/placement/availability-zone': m.availabilityZone,
    'meta-data/placement/region': m.region,
    // The address under which the guest is reached. The emulator's Elastic IP is made up: nobody could.
    'meta-data/public-ipv4': m.ip,
    'meta-data/reservation-id': 'r-0123456789abcdef0',
    'meta-data/services/domain': 'amazonaws.com',
    'meta-data/services/partition': 'aws',
    [`${nic}/device-number`]: '0',
    [`${nic}/interface-id`]: 'eni-0123456789abcdef0',
    [`${nic}/local-hostname`]: localName,
    [`${nic}/local-ipv4s`]: m.ip,
    [`${nic}/mac`]: m.mac,
    [`${nic}/owner-id`]: m.accountId,
    [`${nic}/public-ipv4s`]: m.ip,
    [`${nic}/subnet-id`]: m.subnetId,
    [`${nic}/subnet-ipv4-cidr-block`]: m.subnetCidr,
    // Without it cloud-init takes the instance for one of EC2 Classic and sets the network up twice.
    [`${nic}/vpc-id`]: m.vpcId,
    [`${nic}/vpc-ipv4-cidr-block`]: m.subnetCidr,
    [`${nic}/vpc-ipv4-cidr-blocks`]: m.subnetCidr,
  };
  if (m.role) {
    tree['meta-data/iam/info'] = JSON.stringify({
      Code: 'Success',
      InstanceProfileArn: m.role.profileArn,
      InstanceProfileId: 'AIPA',
    });
    tree[`meta-data/iam/security-credentials/${m.role.name}`] = JSON.stringify(m.role.credentials);
  }
  if (m.userData) tree['user-data'] = Buffer.from(m.userData, 'base64').toString('latin1');
  return tree;
}

/** The text at a path: a value, a listing of what lies below (folders end in `/`), or undefined (404). */
export function lookUp(tree: Record<string, string>, path: string): string | undefined {
  if (tree[path] !== undefined) return tree[path];
  const prefix = path.replace(/\/+$/, '') === '' ? '' : `${path.replace(/\/+$/, '')}/`;
  const below = Object.keys(tree).filter((key) => key.startsWith(prefix));
  const names = new Set(
    below.map((key) => {
      const [first = '', ...rest] = key.slice(prefix.length).split('/');
      return rest.length > 0 ? `${first}/` : first;
    }),
  );
  return names.size > 0 ? [...names].sort().join('\n') : undefined;
}

class MetadataServer {
  readonly #tokens = new Map<string, number>();

  constructor(readonly folder: string) {}

  handle(request: IncomingMessage, response: ServerResponse): void {
    const answer = (status: number, body = '', headers: Record<string, string> = {}): void => {
      console.log(
        new Date().toISOString(),
        request.socket.remoteAddress,
        request.method,
        request.url,
        status,
      );
      const bytes = Buffer.from(body, 'latin1');
      response.writeHead(status, {
        'content-type': 'text/plain',
        'content-length': bytes.length,
        server: 'EC2ws',
        ...headers,
      });
      response.end(bytes);
    };
    const path = (request.url ?? '/').replace(/^\/+/, '');
    if (request.method === 'PUT' && path === 'latest/api/token') {
      const ttl = Number(request.headers['x-aws-ec2-metadata-token-ttl-seconds']);
      if (request.headers['x-forwarded-for']) return answer(403);
      if (!Number.isInteger(ttl) || ttl < 1 || ttl > MAX_TTL_SECONDS) return answer(400);
      const token = randomBytes(40).toString('base64url');
      this.#tokens.set(token, Date.now() + ttl * 1000);
      return answer(200, token, { 'x-aws-ec2-metadata-token-ttl-seconds': String(ttl) });
    }
    if (request.method !== 'GET') return answer(405);
    const token = request.headers['x-aws-ec2-metadata-token'];
    if (typeof token !== 'string' || (this.#tokens.get(token) ?? 0) < Date.now()) return answer(401);
    const metadata = this.#metadataFor(request.socket.remoteAddress ?? '');
    if (!metadata) return answer(404);
    if (path === '') return answer(200, API_VERSIONS.join('\n'));
    const [, ...rest] = path.split('/');
    const found = lookUp(metadataTree(metadata), rest.join('/'));
    return found === undefined ? answer(404) : answer(200, found);
  }

  #metadataFor(address: string): InstanceMetadata | undefined {
    try {
      return JSON.parse(readFileSync(join(this.folder, `${address}.json`), 'utf8')) as InstanceMetadata;
    } catch {
      return undefined;
    }
  }
}

if (require.main === module) {
  const [folder = '', address = '', port = ''] = process.argv.slice(2);
  const server = new MetadataServer(folder);
  createServer((request, response) => server.handle(request, response)).listen(Number(port), address);
}
