/** What each prop may be, and its default. */
import { z } from 'zod';

import { OPERATING_SYSTEMS, type OperatingSystemName } from '../../cloud-init/operating-systems';
import { GPU_INSTANCE_TYPES, INSTANCE_TYPES, monthlyUsd } from '../catalogue';
import { REGIONS } from '../regions';
import { DEFAULT_MODEL, MY_ADDRESS } from './constants';
import {
  distinctRanges,
  ipv4Range,
  list,
  matching,
  notAn,
  oneOf,
  range,
  shown,
  valid,
  wholeNumber,
  withoutRepeats,
} from './kinds';

const INSTANCE_NAMES = INSTANCE_TYPES.map((type) => type.name);

/** Known, and still refused: better than `not one of`, for who has read that a GPU helps. */
const GPU_REFUSALS = new Map(
  GPU_INSTANCE_TYPES.map((type) => [
    type.name,
    `should be a type without a GPU, got '${type.name}': the engine that is deployed runs on the CPU alone, and would leave the ` +
      `${type.gpu.name}, ${Math.round(monthlyUsd(type))} USD a month, idle`,
  ]),
);

const yesOrNo = () => valid<boolean>('true or false', (value) => typeof value === 'boolean');

const OS_NAMES = Object.keys(OPERATING_SYSTEMS) as OperatingSystemName[];

const port = () => wholeNumber(1, 65535);

const allowedRange = range(
  { v4: 0, v6: 0 },
  `a range such as 203.0.113.0/24 or 2001:db8::/32, or '${MY_ADDRESS}'`,
  MY_ADDRESS,
);

const adminRange = range(
  { v4: 16, v6: 48 },
  'an IPv4 range from /16 or an IPv6 range from /48: the console is for administrators, never for everyone',
);

/** At most the 63 characters that a certificate's common name holds. */
const DOMAIN = /^(?=.{4,63}$)([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z]{2,}$/;

/** Stands in a mail's header, so no blanks and no lists, and in Terraform, so no braces; whether it exists is told by the mail that AWS sends to it. */
const emailAddress = matching(
  /^[^\s@,;<>"'{}]+@[^\s@,;<>"'{}]+\.[a-z]{2,}$/i,
  'an e-mail address such as ops@example.com',
);

/** https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutRetentionPolicy.html */
const LOG_RETENTION_DAYS = [
  ...[1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731],
  ...[1096, 1827, 2192, 2557, 2922, 3288, 3653],
];

export const schema = z.strictObject({
  name: matching(
    // AWS keeps the rest for itself: security groups begin with none of sg-, buckets with none of the others.
    /^(?!(sg|sthree|amzn-s3-demo|xn-)(-|$))[a-z][a-z0-9-]{0,19}$/,
    '1 to 20 lower-case letters, digits and hyphens that start with a letter, and not with sg-, sthree-, amzn-s3-demo- or xn--',
  ).default('bot'),
  region: oneOf(REGIONS, 'an AWS region').default('us-east-1'),
  instanceType: oneOf(INSTANCE_NAMES, `one of ${INSTANCE_NAMES.join(', ')}`, GPU_REFUSALS).default(
    'c7a.large',
  ),
  diskGiB: wholeNumber(8, 16384).default(50),
  model: matching(/\S/, 'a path to a GGUF file or a source such as hf:owner/repository/file.gguf').default(
    DEFAULT_MODEL,
  ),
  contextSize: wholeNumber(256, 131072).default(4096),
  sequences: wholeNumber(1, 32).optional(),
  maxTokens: wholeNumber(1, 131072).optional(),
  temperature: valid<number>(
    'a number from 0 to 2',
    (value) => typeof value === 'number' && value >= 0 && value <= 2,
  ).default(0.7),
  allowedCidrs: list(allowedRange, 'a list of ranges')
    .min(1, `should name at least one range: nobody could reach the endpoint, got []`)
    .transform(distinctRanges)
    .default([MY_ADDRESS]),
  console: yesOrNo().default(false),
  adminCidrs: list(adminRange, 'a list of ranges').transform(distinctRanges).default([]),
  domain: matching(DOMAIN, 'a domain name in lower case such as chat.example.com').optional(),
  hostedZone: matching(
    new RegExp(`${DOMAIN.source}|^Z[A-Z0-9]{8,31}$`),
    'a hosted zone of Route 53: its name such as example.com, or its id such as Z0123456789ABCDEFGHIJ',
  ).optional(),
  acmeServer: matching(
    /^https:\/\/[A-Za-z0-9.-]+(:\d+)?\/[A-Za-z0-9._/-]*$/,
    'the https address of an ACME directory such as https://acme-v02.api.letsencrypt.org/directory',
  ).default('https://acme-v02.api.letsencrypt.org/directory'),
  plainPort: yesOrNo().default(true),
  externalPort: port().default(18789),
  internalPort: wholeNumber(1024, 65535).default(8000),
  vpcCidr: ipv4Range(16, 25, 'a private IPv4 range from /16 to /25 such as 10.20.0.0/24').default(
    '10.20.0.0/24',
  ),
  amiId: matching(/^ami-[0-9a-f]{8,17}$/, 'an image id such as ami-0123456789abcdef0').optional(),
  availabilityZone: matching(
    // Not a Local Zone (us-east-1-bos-1a): those lack most of what the stack uses.
    /^[a-z]{2}(-[a-z]+)+-\d[a-h]$/,
    'an availability zone such as us-east-1a, a to h',
  ).optional(),
  egress: oneOf(['all', 'needed'] as const, "'all' or 'needed'").default('all'),
  os: oneOf(OS_NAMES, `one of ${OS_NAMES.join(', ')}`).default('debian-12'),
  backup: z
    .strictObject({ keepDays: wholeNumber(1, 365) }, notAn('an object such as { keepDays: 7 }'))
    .optional(),
  restoreFromSnapshot: matching(
    /^snap-[0-9a-f]{8,17}$/,
    'a snapshot id such as snap-0123456789abcdef0',
  ).optional(),
  protect: yesOrNo().default(false),
  state: z
    .strictObject(
      {
        bucket: matching(
          /^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$/,
          'a bucket name of 3 to 63 lower-case letters, digits and hyphens',
        ),
        region: oneOf(REGIONS, 'an AWS region').optional(),
      },
      notAn("an object such as { bucket: 'my-state' }"),
    )
    .optional(),
  keyRotationDays: valid<number>(
    '0 for never, or a whole number of days from 7 to 365',
    (value) => value === 0 || (Number.isInteger(value) && Number(value) >= 7 && Number(value) <= 365),
  ).default(90),
  monitoring: yesOrNo().default(true),
  alarmEmails: list(emailAddress, 'a list of e-mail addresses').transform(withoutRepeats).default([]),
  logRetentionDays: valid<number>(
    `one of ${LOG_RETENTION_DAYS.join(', ')}, which CloudWatch allows`,
    (value) => LOG_RETENTION_DAYS.includes(Number(value)) && typeof value === 'number',
  ).default(30),
  tags: z
    .record(z.string(), matching(/^.{0,256}$/u, 'a text of at most 256 characters'), {
      error: ({ input }) => `should be an object of texts, got ${shown(input)}`,
    })
    .default({}),
});
