/**
 * A deployment that differs from the default in what is hardest to get right: a domain with a certificate of an authority,
 * and a host that lets out only what is needed. Its first deploy fails, by a port that is taken; the second repairs it.
 */
import assert from 'node:assert/strict';
import { AwsFront } from '../box/aws-front';
import { type Box } from '../box/box';
import { lastLines, run } from '../box/commands';
import { DomainWorld } from '../box/domain-world';
import type { Guest } from '../box/guest';
import { readApiKey } from '../checks/subject';
import { Deployment, textOf } from '../deployment/deployment';
import { switchesFor } from '../deployment/switches';
import { deployAndBoot } from '../path';
import { checksInOrder, type DeploymentDrill, says } from './drill';

const DOMAIN = 'chat.example.com';
const ZONE = 'example.com';

/** A unit that has the port before the bootstrap comes. */
const SQUATTER = `[Unit]
Description=Something else that listens on port 18789
[Service]
ExecStart=/usr/bin/python3 -m http.server 18789
`;
const WANTS_SQUATTER = '[Unit]\nWants=squatter.service\n';

export const topologyDrill: DeploymentDrill = {
  kind: 'deployment',
  name: 'topology',
  about:
    'a domain, and only the ways out that are needed; a taken port fails the deploy, a second one repairs it',
  run: async (report, box) => {
    const world = await DomainWorld.start(box);
    const zone = await box.account.createZone(ZONE);
    const addresses = box.reserveAddresses();
    const deployment = new Deployment(
      box,
      'topology',
      {
        ...switchesFor(box.network.addresses, 'topology'),
        domain: DOMAIN,
        acmeServer: world.directory,
        egress: 'needed',
        // Names are asked of the network's own server, so the machine has to know its network.
        vpcCidr: box.network.addresses.guestSubnet,
      },
      addresses.ip,
    );
    // The emulator's port is none that the machine may reach; AWS's are.
    const front = await AwsFront.open(box.network, box.account.endpointUrl, 80);
    const check = checksInOrder(report, 'topology');
    let guest: Guest | undefined;

    await check(
      'a taken port fails the deploy within a minute, with step, cause and the end of the log',
      async () => {
        const [transcript, booted] = await deployAndBoot(box, deployment, report, {
          name: 'topology',
          addresses,
          awsUrl: front.url,
          authority: world.authority,
          files: {
            '/etc/systemd/system/squatter.service': SQUATTER,
            '/etc/systemd/system/multi-user.target.d/squatter.conf': WANTS_SQUATTER,
          },
        });
        if (booted instanceof Error) throw booted;
        const { boot, readyAt } = booted;
        ({ guest } = booted);
        const delay = (transcript.endedAt - readyAt) / 1000;
        assert.equal(boot.status, 'failed');
        assert.notEqual(transcript.status, 0, 'cdktf deploy succeeded');
        const text = textOf(transcript);
        says(text, /step services/, /port 18789 is taken by python3/, /externalPort/);
        says(text, /step configure done/); // a line of the log that only its end carries
        assert.ok(delay < 60, `it took ${delay} s from the bootstrap's failure to the end of the deploy`);
        return `${delay.toFixed(1)} s after the bootstrap failed`;
      },
    );
    await check('with the port free, a second deploy returns when the endpoint has answered', async () => {
      await guest?.exec(['systemctl', 'stop', 'squatter.service']);
      const from = Date.now();
      const transcript = await deployment.deploy();
      const text = textOf(transcript);
      assert.equal(transcript.status, 0, lastLines(text, 60));
      says(text, /is ready after/, /\/v1 answered in/);
      return `${((Date.now() - from) / 1000).toFixed(0)} s`;
    });
    await check('the domain answers with a certificate that its authority vouches for', () =>
      checkDomain(box, deployment, world, addresses.ip),
    );
    await check(
      'the machine proved the domain by one record, which is gone; it can write no other',
      async () => {
        const machine = guest;
        assert.ok(machine);
        assert.equal(await changeRecord(machine, zone, DOMAIN, 'A'), 403);
        assert.equal(await changeRecord(machine, zone, `_acme-challenge.${DOMAIN}`, 'TXT'), 200);
        assert.equal(await changeRecord(machine, zone, `_acme-challenge.${DOMAIN}`, 'TXT', 'DELETE'), 200);
        return 'an A record: 403';
      },
    );
    await check('the host lets nothing out but what is needed', () => guest && checkWaysOut(box, guest));

    return {
      deployment,
      destroyed: async () => {
        await report.check('no record is left in the zone', async () =>
          assert.deepEqual(await box.account.deleteZone(zone), []),
        );
      },
      end: async () => guest?.powerOff(),
    };
  },
};

async function checkDomain(
  box: Box,
  deployment: Deployment,
  { rootFile }: DomainWorld,
  ip: string,
): Promise<string> {
  const key = await readApiKey(box.account, deployment.switches.name ?? '');
  const { stdout } = await run(
    [
      ...['curl', '-sS', '-D', '-', '--cacert', rootFile, '--resolve', `${DOMAIN}:443:${ip}`, '-H', '@-'],
      `https://${DOMAIN}/v1/models`,
    ],
    { input: `Authorization: Bearer ${key}` },
  );
  says(stdout, /^HTTP\/2 200/, /^strict-transport-security: max-age=31536000/im, /"object":\s*"list"/);
  const { stdout: certificate } = await run(
    ['openssl', 's_client', '-connect', `${ip}:443`, '-servername', DOMAIN],
    { allowFailure: true },
  );
  return /issuer=.*/.exec(certificate)?.[0] ?? '';
}

/** What the machine may do with records, tried with the program and the credentials that it has. @returns the status */
async function changeRecord(
  guest: Guest,
  zone: string,
  name: string,
  type: string,
  action = 'UPSERT',
): Promise<number> {
  const value = type === 'A' ? '192.0.2.1' : '"drill"';
  const body = `<ChangeResourceRecordSetsRequest xmlns="https://route53.amazonaws.com/doc/2013-04-01/"><ChangeBatch><Changes><Change><Action>${action}</Action><ResourceRecordSet><Name>${name}</Name><Type>${type}</Type><TTL>60</TTL><ResourceRecords><ResourceRecord><Value>${value.replaceAll('"', '&#34;')}</Value></ResourceRecord></ResourceRecords></ResourceRecordSet></Change></Changes></ChangeBatch></ChangeResourceRecordSetsRequest>`;
  // The emulator looks at who asks, not at signatures.
  const script = `
t=$(curl -s -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' http://169.254.169.254/latest/api/token)
get() { curl -s -H "X-aws-ec2-metadata-token: $t" "http://169.254.169.254/latest/meta-data/iam/security-credentials/$1"; }
role=$(get "$(get '')")
field() { printf %s "$role" | sed -n "s/.*\\"$1\\": *\\"\\([^\\"]*\\)\\".*/\\1/p"; }
curl -s -o /root/route53-answer -w '%{http_code}' -X POST --data-binary @- -H 'Content-Type: text/xml' \\
  -H "Authorization: AWS4-HMAC-SHA256 Credential=$(field AccessKeyId)/20260101/us-east-1/route53/aws4_request, SignedHeaders=host, Signature=0" \\
  -H "X-Amz-Security-Token: $(field Token)" https://route53.amazonaws.com/2013-04-01/hostedzone/${zone}/rrset/`;
  return Number((await guest.shell(script, { input: body })).stdout);
}

/** Tries as root, whom the firewall makes no exception for. */
async function checkWaysOut({ network, account }: Box, guest: Guest): Promise<string> {
  const { uplinkHost, emulatorPort } = network.addresses;
  // The network lets guests through to the emulator's own port, as another guest's boot shows: what stops this one is itself.
  const probe = `
import socket
def tcp(host, port):
    try:
        socket.create_connection((host, port), timeout=5).close()
        return 'open'
    except OSError as error:
        return type(error).__name__
def udp(host, port):
    try:
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', (host, port))
        return 'sent'
    except OSError as error:
        return type(error).__name__
print(tcp('${uplinkHost}', 80), tcp('${uplinkHost}', 443), tcp('${uplinkHost}', ${emulatorPort}), udp('${uplinkHost}', 9999))`;
  const { stdout } = await guest.exec(['python3', '-c', probe]);
  assert.equal(stdout.trim(), 'open open TimeoutError PermissionError');
  const { stdout: rules } = await guest.exec(['nft', 'list', 'chain', 'inet', 'filter', 'output']);
  says(rules, /hook output .*policy drop/, /tcp dport 443 accept/);
  assert.ok(account.endpointUrl.endsWith(`:${emulatorPort}`));
  return `port ${emulatorPort}: TimeoutError`;
}
