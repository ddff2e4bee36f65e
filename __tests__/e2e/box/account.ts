/** The emulated AWS account, seen by its administrator. */
import { join } from 'node:path';
import { type CommandOptions, run } from './commands';
import type { IngressRule } from './network';

/** An instance as it was deployed. */
export interface DeployedInstance {
  instanceId: string;
  imageId: string;
  instanceType: string;
  availabilityZone: string;
  vpcId: string;
  subnetId: string;
  profileArn: string | null;
  roleName: string | null;
  /** base64, as EC2 stores it. */
  userData: string;
  httpTokens: string | null;
  ingress: IngressRule[];
}

export class Account {
  constructor(
    readonly endpointUrl: string,
    readonly region: string,
  ) {}

  /** The person who deploys: what `cdktf deploy`, boto3 and the SDK need, and nothing of the caller's own AWS set-up. */
  get environment(): NodeJS.ProcessEnv {
    const own = Object.entries(process.env).filter(([name]) => !name.startsWith('AWS_'));
    return {
      ...Object.fromEntries(own),
      AWS_ENDPOINT_URL: this.endpointUrl,
      AWS_REGION: this.region,
      AWS_DEFAULT_REGION: this.region,
      AWS_ACCESS_KEY_ID: 'AKIAEMULATORADMIN000',
      AWS_SECRET_ACCESS_KEY: 'only-the-emulator-takes-this',
      AWS_EC2_METADATA_DISABLED: 'true',
      AWS_CONFIG_FILE: '/dev/null',
      AWS_SHARED_CREDENTIALS_FILE: '/dev/null',
    };
  }

  /** Waits for the instance of a deployment to appear; rejects when the signal says that none will. */
  async waitForInstance(name: string, signal: AbortSignal): Promise<DeployedInstance> {
    return (await this.#ask(['wait-instance', name], { signal, timeoutMs: 3_600_000 })) as DeployedInstance;
  }

  /** Fresh credentials of a role, as the metadata service serves them. */
  async roleCredentials(role: string): Promise<Record<string, string>> {
    return (await this.#ask(['role-credentials', role])) as Record<string, string>;
  }

  /** Makes a hosted zone of Route 53. @returns its id */
  async createZone(name: string): Promise<string> {
    return (await this.#ask(['create-zone', name])) as string;
  }

  /** Deletes a hosted zone, unless there are records in it that somebody made: those are returned. */
  async deleteZone(id: string): Promise<string[]> {
    return (await this.#ask(['delete-zone', id])) as string[];
  }

  /** Everything that exists in the account, one line each. */
  async inventory(): Promise<string[]> {
    return (await this.#ask(['inventory'])) as string[];
  }

  async #ask(args: string[], options: CommandOptions = {}): Promise<unknown> {
    const { stdout } = await run(['python3', join(__dirname, 'account.py'), ...args], {
      env: this.environment,
      ...options,
    });
    return JSON.parse(stdout);
  }
}
