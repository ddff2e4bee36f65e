/** The security group and the host's firewall, as they are deployed, against each other. */
import { strFromU8, unzipSync } from 'fflate';

import { synthesise, type Synthesised } from './synthesised';
import { TOPOLOGIES } from './topologies';

function hostFirewall(stack: Synthesised): string {
  const archive = stack.all('aws_s3_object').find((object) => 'content_base64' in object);
  const files = unzipSync(Buffer.from(String(archive?.['content_base64']), 'base64'));
  return strFromU8(files['nftables.conf']!);
}

const numbers = (texts: Iterable<unknown>) => [...new Set([...texts].map(Number))].sort((a, b) => a - b);

describe('host firewall and security group', () => {
  it.each(Object.entries(TOPOLOGIES))('open the same ports: %s', (_name, props) => {
    const stack = synthesise(props);
    const inGroup = numbers(
      stack.all('aws_vpc_security_group_ingress_rule').map((rule) => rule['from_port']),
    );
    const ports = /chain input \{[\s\S]*?tcp dport \{ (.*) \} accept/.exec(hostFirewall(stack))?.[1];
    expect(numbers(ports?.split(', ') ?? [])).toEqual(inGroup);
  });

  it.each(Object.entries(TOPOLOGIES))('let the same out: %s', (_name, props) => {
    const stack = synthesise(props);
    const inGroup = stack
      .all('aws_vpc_security_group_egress_rule')
      .filter((rule) => rule['ip_protocol'] !== '-1' && rule['cidr_ipv6'] === undefined)
      .map(({ ip_protocol, from_port, cidr_ipv4 }) => {
        const to = cidr_ipv4 === '0.0.0.0/0' ? '' : `ip daddr ${String(cidr_ipv4)} `;
        return `${to}${String(ip_protocol)} dport ${String(from_port)} accept`;
      });
    const output =
      /chain output \{[\s\S]*?\}\n/.exec(hostFirewall(stack).replace(/\{ .* \}/g, ''))?.[0] ?? '';
    const onHost = [...output.matchAll(/^ *((?:ip daddr \S+ )?(?:tcp|udp) dport \d+ accept)$/gm)].map(
      ([, rule]) => rule,
    );
    expect(onHost.sort()).toEqual(inGroup.sort());
    // All out is one rule for each address family, and no chain.
    if (props.egress !== 'needed') expect(output).toBe('');
    else expect(onHost).toHaveLength(5);
  });

  it('let the machine ask an authority for certificates on its own port', () => {
    const stack = synthesise({
      egress: 'needed',
      domain: 'chat.example.com',
      acmeServer: 'https://ca.example.com:8443/directory',
    });
    expect(stack.all('aws_vpc_security_group_egress_rule').map((rule) => rule['from_port'])).toContain(8443);
    expect(hostFirewall(stack)).toContain('tcp dport 8443 accept');
  });

  it('never open the console to everyone', () => {
    for (const props of Object.values(TOPOLOGIES)) {
      for (const rule of synthesise(props).all('aws_vpc_security_group_ingress_rule')) {
        if (rule['from_port'] === 8080) {
          expect(['0.0.0.0/0', '::/0']).not.toContain(rule['cidr_ipv4'] ?? rule['cidr_ipv6']);
        }
      }
    }
  });
});
