import { synthesise } from './synthesised';

const PROPS = { domain: 'chat.example.com' };
const stack = synthesise(PROPS);

describe('a domain', () => {
  it('points to the address, in the zone that it lies in', () => {
    expect(Object.values(stack.document.data['aws_route53_zone']!)).toEqual([
      expect.objectContaining({ name: 'example.com', private_zone: false }),
    ]);
    expect(stack.one('aws_route53_record')).toMatchObject({
      name: 'chat.example.com',
      type: 'A',
      records: [expect.stringMatching(/^\$\{aws_eip\.[^}]+\.public_ip\}$/)],
      zone_id: expect.stringMatching(/^\$\{data\.aws_route53_zone\.[^}]+\.zone_id\}$/),
    });
  });

  it('points to the IPv6 address, too, where there is one, and once it answers', () => {
    const both = synthesise({ ...PROPS, allowedCidrs: ['2001:db8::/32'] });
    expect(both.all('aws_route53_record')).toContainEqual(
      expect.objectContaining({
        name: 'chat.example.com',
        type: 'AAAA',
        records: [expect.stringMatching(/^\$\{one\(aws_instance\.[^}]+\.ipv6_addresses\)\}$/)],
        depends_on: [expect.stringMatching(/^terraform_data\..*answered/)],
      }),
    );
    expect(both.document.output['ipv6_address']).toBeDefined();
    expect(stack.document.output['ipv6_address']).toBeUndefined();
  });

  it('lies in the zone that is named, by name or by id', () => {
    const named = synthesise({ domain: 'chat.team.example.com', hostedZone: 'example.com' });
    expect(Object.values(named.document.data['aws_route53_zone']!)).toEqual([
      expect.objectContaining({ name: 'example.com' }),
    ]);
    const byId = synthesise({ ...PROPS, hostedZone: 'Z0123456789ABCDEFGHIJ' });
    expect(byId.document.data['aws_route53_zone']).toBeUndefined();
    expect(byId.one('aws_route53_record')['zone_id']).toBe('Z0123456789ABCDEFGHIJ');
  });

  it('is what clients are told, and needs no certificate of its own from them', () => {
    const { output } = stack.document;
    expect(output['endpoint']?.value).toBe('https://chat.example.com/v1');
    expect(output['chat_command']?.value).toContain('https://chat.example.com/api/v1/chat');
    expect(output['chat_command']?.value).not.toContain('--cacert');
    expect(synthesise().document.output['chat_command']?.value).toContain('--cacert');
  });

  it('is told to the machine with its zone, and where the certificate is kept', () => {
    const userData = String(stack.one('aws_instance')['user_data']);
    expect(userData).toContain('DOMAIN=chat.example.com\n');
    expect(userData).toMatch(/HOSTED_ZONE_ID=\$\{data\.aws_route53_zone\.[^}]+\.zone_id\}\n/);
    expect(userData).toContain('CERTIFICATE_KEY=tls/chat.example.com.tar.gz\n');
    expect(userData).toContain('ACME_EMAIL=hostmaster@chat.example.com\n');
  });

  it('costs nothing where there is none', () => {
    expect(synthesise().json).not.toMatch(/route53/);
  });
});

describe('plainPort: false', () => {
  const { document, all, json } = synthesise({ plainPort: false });

  it('opens no other port to IPv6, either', () => {
    const both = synthesise({ plainPort: false, egress: 'needed', allowedCidrs: ['::/0', '0.0.0.0/0'] });
    const rules = both.all('aws_vpc_security_group_ingress_rule');
    expect(rules.map(({ from_port: port, cidr_ipv6: cidr }) => [port, cidr])).toEqual([
      [443, '::/0'],
      [443, undefined],
    ]);
  });

  it('opens 443 alone, and says nothing of another endpoint', () => {
    expect(all('aws_vpc_security_group_ingress_rule').map(({ from_port: port }) => port)).toEqual([443]);
    expect(document.output['plain_endpoint']).toBeUndefined();
    expect(json).not.toMatch(/"BOTSTACK_EXTERNAL_PORT": "[^"]/);
  });
});
