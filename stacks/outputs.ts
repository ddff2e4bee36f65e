/** What `cdktf deploy` prints at its end: addresses, and commands that work when pasted. */
import { relative } from 'node:path';

import { REPORT_PREFIX } from './constructs/artifacts';
import { CONSOLE_PORT } from './props';
import { ROOT } from './version';

export interface OutputValues {
  readonly region: string;
  readonly address: string;
  /** @default the machine has none */
  readonly ipv6Address?: string;
  /** @default the address is what clients use, with a certificate that they must be told of */
  readonly domain?: string;
  /** @default no endpoint without TLS */
  readonly externalPort?: number;
  readonly instanceId: string;
  readonly secretName: string;
  readonly bucket: string;
  readonly certificateFile: string;
  /** Where the console listens on the machine. */
  readonly consoleLoopbackPort: number;
  /** @default none: nothing is watched */
  readonly dashboardName?: string;
}

interface Output {
  readonly value: string;
  readonly description: string;
}

/**
 * Commands are broken into lines of less than 80 characters: Terraform then shows them as they are, without escapes,
 * and cdktf, which breaks long lines wherever they end, leaves them whole.
 */
export function describeOutputs(values: OutputValues): Record<string, Output> {
  const { region, address, domain, externalPort, instanceId, bucket, certificateFile } = values;
  const host = domain ?? address;
  // From the repository, which is where the commands are for.
  const certificate = relative(ROOT, certificateFile);
  return {
    endpoint: {
      value: `https://${host}/v1`,
      description:
        domain === undefined
          ? 'Base URL for OpenAI clients; its certificate is self-signed, see certificate_file'
          : 'Base URL for OpenAI clients',
    },
    ...(externalPort === undefined
      ? {}
      : {
          plain_endpoint: {
            value: `http://${host}:${externalPort}/v1`,
            description: 'The same without encryption: whoever listens in between reads key and conversation',
          },
        }),
    ...(values.ipv6Address === undefined
      ? {}
      : {
          ipv6_address: {
            value: values.ipv6Address,
            description: 'Where clients with IPv6 reach the same endpoint; another machine has another',
          },
        }),
    instance_id: { value: instanceId, description: 'The machine' },
    api_key_command: { value: lines(...printApiKey(values)), description: 'Prints the API key' },
    chat_command: {
      // The key goes in by standard input: a command line can be read by every user of the machine.
      value: `${lines(...printApiKey(values))} |\n  ${lines(
        `sed 's/^/Authorization: Bearer /' | curl -sS -H @-`,
        ...(domain === undefined ? [`--cacert ${certificate}`] : []),
        `-H 'Content-Type: application/json'`,
        `-d '{"messages":[{"role":"user","content":"Say hello."}]}'`,
        `https://${host}/api/v1/chat`,
      )}`,
      description: 'Asks the endpoint a question with the API key',
    },
    token_command: {
      value: session(values, 'sudo /opt/bot/bin/generate_token.sh --user admin'),
      description:
        'Prints an access token that is valid for a day; needs the AWS CLI and its session-manager-plugin',
    },
    console_command: {
      value: lines(
        `aws ssm start-session --region ${region}`,
        `--target ${instanceId}`,
        '--document-name AWS-StartPortForwardingSession',
        `--parameters portNumber=${values.consoleLoopbackPort},localPortNumber=${CONSOLE_PORT}`,
      ),
      description: `Opens a tunnel; the console is then at http://localhost:${CONSOLE_PORT}`,
    },
    logs_command: {
      value: session(values, 'sudo journalctl -u bot -n 100 -f'),
      description: 'Follows the log of the service',
    },
    ...(values.dashboardName === undefined
      ? {}
      : {
          dashboard_name: {
            value: values.dashboardName,
            description: `Figures, alarms and the last errors: CloudWatch console, region ${region}, dashboard of this name`,
          },
        }),
    certificate_file: {
      value: certificate,
      description:
        'The certificate of the endpoint, on the machine that deployed it: for curl --cacert, SSL_CERT_FILE or NODE_EXTRA_CA_CERTS',
    },
    certificate_command: {
      value: lines(
        `aws s3api get-object --region ${region}`,
        `--bucket ${bucket}`,
        `--key ${REPORT_PREFIX}${instanceId}.json /dev/stdout`,
      ),
      description:
        "Prints the first boot's report with the certificate's fingerprint, to compare on another machine",
    },
  };
}

function printApiKey({ region, secretName }: OutputValues): string[] {
  return [
    `aws secretsmanager get-secret-value --region ${region}`,
    `--secret-id ${secretName}`,
    '--query SecretString --output text',
  ];
}

function session({ region, instanceId }: OutputValues, command: string): string {
  return lines(
    `aws ssm start-session --region ${region}`,
    `--target ${instanceId}`,
    '--document-name AWS-StartInteractiveCommand',
    `--parameters 'command=${command}'`,
  );
}

/** One shell command over several lines. */
function lines(...parts: readonly string[]): string {
  return parts.join(' \\\n  ');
}
