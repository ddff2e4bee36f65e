/**
 * Checks what goes into the user-data. Every value lands in a shell, nginx, nftables or systemd file, so each one has
 * a form in which it cannot be anything but a value there.
 */
import type { UserDataProps } from './user-data-props';

/** Also the form of a placeholder that the stack fills in later, as for a bucket that has no name yet. */
const NAME = /^[A-Za-z0-9_:.-]+$/;
const OBJECT_KEY = /^[A-Za-z0-9_.-]+(\/[A-Za-z0-9_.-]+)*$/;
const SHA256 = /^[0-9a-f]{64}$/;
const MODEL_FILE = /^[A-Za-z0-9][A-Za-z0-9_.-]*\.gguf$/;
const CERTIFICATE_VALUE = /^[A-Za-z0-9_.:/@+-]{1,256}$/;
const MONITORING_NAME = /^[A-Za-z0-9_./-]{1,256}$/;
const PREFIX = /^([A-Za-z0-9_.-]+\/)+$/;

/** Room for the system, nginx and the SSM agent is the caller's sum; below this not even the smallest model starts. */
const MIN_MEMORY_MIB = 256;

/** Where the bootstrap puts the model. */
const MODEL_FOLDER = '/opt/bot/models';

/** The parts of the configuration that this room looks at; its schema is the runtime's. */
interface ConfigShape {
  api_key?: unknown;
  model_path?: unknown;
  security?: { api_key?: unknown };
  remote_service?: { auth?: { token?: unknown } };
  network?: {
    external_port?: unknown;
    internal_port?: unknown;
    console_port?: unknown;
    console_proxied?: unknown;
  };
  limits?: { max_request_seconds?: unknown };
}

/** @throws Error that lists every wrong value, one a line: the prop, what is allowed, what it got */
export function checkUserDataProps(props: UserDataProps): void {
  const problems: string[] = [];
  const need = (holds: boolean, prop: string, allowed: string, got: unknown) => {
    if (!holds) problems.push(`${prop} should be ${allowed}, got ${JSON.stringify(got)}`);
  };
  const text = (prop: keyof UserDataProps, pattern: RegExp, allowed: string) =>
    need(pattern.test(String(props[prop])), prop, allowed, props[prop]);

  text('region', NAME, 'an AWS region such as us-east-1');
  text('bucket', NAME, "a bucket's name");
  text('bundleKey', OBJECT_KEY, 'an object key of letters, digits and _ . - /');
  text('bundleSha256', SHA256, '64 hex digits in lower case');
  text('modelKey', OBJECT_KEY, 'an object key of letters, digits and _ . - /');
  text('modelSha256', SHA256, '64 hex digits in lower case');
  text('modelFile', MODEL_FILE, 'a file name of letters, digits and _ . - that ends in .gguf');
  text('filesPrefix', PREFIX, 'a key prefix that ends in /');
  text('reportPrefix', PREFIX, 'a key prefix that ends in /');
  if (props.publicAddress !== undefined) text('publicAddress', NAME, 'an IPv4 address');
  for (const [prop, port] of Object.entries({
    internalPort: props.internalPort,
    ...(props.externalPort !== undefined && { externalPort: props.externalPort }),
  })) {
    need(isWhole(port, 1, 65_535), prop, 'a whole number from 1 to 65535', port);
  }
  need(
    props.externalPort !== 443 && props.externalPort !== props.internalPort,
    'externalPort',
    `neither 443, which is the TLS port, nor internalPort (${props.internalPort})`,
    props.externalPort,
  );
  need(
    isWhole(props.memoryMaxMiB, MIN_MEMORY_MIB, 16_777_216),
    'memoryMaxMiB',
    `a whole number of MiB from ${MIN_MEMORY_MIB}`,
    props.memoryMaxMiB,
  );
  for (const [key, value] of Object.entries(props.certificate ?? {})) {
    need(CERTIFICATE_VALUE.test(value), `certificate.${key}`, 'letters, digits and _ . : / @ + -', value);
  }
  for (const [key, value] of Object.entries(props.monitoring ?? {})) {
    need(MONITORING_NAME.test(value), `monitoring.${key}`, 'letters, digits and _ . / -', value);
  }
  if (props.consolePort !== undefined) {
    const { console_port: loopback, console_proxied: proxied } = (props.config as ConfigShape).network ?? {};
    need(
      isWhole(props.consolePort, 1, 65_535),
      'consolePort',
      'a whole number from 1 to 65535',
      props.consolePort,
    );
    need(
      isWhole(loopback, 1, 65_535) && loopback !== props.consolePort,
      'config.network.console_port',
      `a port of its own beside consolePort (${props.consolePort}), which is nginx's`,
      loopback,
    );
    need(proxied === true, 'config.network.console_proxied', 'true where consolePort is set', proxied);
  }
  problems.push(...configProblems(props));
  if (problems.length > 0) throw new Error(problems.join('\n'));
}

/** What must agree between the props and the configuration, and what must not be in it. */
function configProblems(props: UserDataProps): string[] {
  const config = props.config as ConfigShape;
  const problems: string[] = [];
  const agree = (key: string, value: unknown, wanted: unknown) => {
    if (value !== undefined && value !== wanted) {
      problems.push(
        `config.${key} should be ${JSON.stringify(wanted)}, as the props say, got ${JSON.stringify(value)}`,
      );
    }
  };
  agree('model_path', config.model_path, `${MODEL_FOLDER}/${props.modelFile}`);
  if (props.externalPort !== undefined) {
    agree('network.external_port', config.network?.external_port, props.externalPort);
  }
  agree('network.internal_port', config.network?.internal_port, props.internalPort);

  const longest = config.limits?.max_request_seconds;
  if (longest !== undefined && !isWhole(longest, 1, 3600)) {
    problems.push(
      `config.limits.max_request_seconds should be a whole number from 1 to 3600, got ${JSON.stringify(longest)}`,
    );
  }
  const secrets = {
    'config.api_key': config.api_key,
    'config.security.api_key': config.security?.api_key,
    'config.remote_service.auth.token': config.remote_service?.auth?.token,
  };
  for (const [key, value] of Object.entries(secrets)) {
    // The value stays out of the message: it would end in the log of a build.
    if (value !== undefined && !/^\$\{\w+\}$/.test(String(value))) {
      problems.push(
        `${key} should not hold a secret, because user-data is not secret: use security.api_key_secret_id, or \${VAR} and /etc/bot/environment`,
      );
    }
  }
  return problems;
}

function isWhole(value: unknown, min: number, max: number): boolean {
  return Number.isInteger(value) && Number(value) >= min && Number(value) <= max;
}
