/** Answers as Secrets Manager does on the wire, on loopback; the SDK that asks it is the real one. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

export type Stage = 'AWSCURRENT' | 'AWSPREVIOUS';

export interface SecretAnswer {
  readonly status: number;
  readonly body: object;
}

export interface SecretsManager {
  /** What points the SDK here, credentials included. */
  readonly env: Readonly<Record<string, string>>;
  /** By stage; a stage without one is not there. */
  answers: Partial<Record<Stage, SecretAnswer>>;
  readonly asked: { stage: string; id: string; authorization: string }[];
  stop(): Promise<void>;
}

export const secret = (value: string): SecretAnswer => ({ status: 200, body: { SecretString: value } });
export const secretError = (name: string, message: string): SecretAnswer => ({
  status: 400,
  body: { __type: name, message },
});
export const NO_VERSION = secretError(
  'ResourceNotFoundException',
  "can't find the specified secret value for staging label",
);

export async function startSecretsManager(): Promise<SecretsManager> {
  const server = createServer((req, res) => {
    let text = '';
    req.on('data', (bytes: Buffer) => (text += bytes.toString()));
    req.on('end', () => {
      const { SecretId: id, VersionStage: stage } = JSON.parse(text) as Record<string, string>;
      manager.asked.push({
        id: id ?? '',
        stage: stage ?? '',
        authorization: req.headers.authorization ?? '',
      });
      const answer = manager.answers[stage as Stage] ?? NO_VERSION;
      res.writeHead(answer.status, { 'Content-Type': 'application/x-amz-json-1.1' });
      res.end(JSON.stringify(answer.body));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const manager: SecretsManager = {
    env: {
      AWS_ENDPOINT_URL: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
      AWS_ACCESS_KEY_ID: 'test',
      AWS_SECRET_ACCESS_KEY: 'test',
    },
    answers: {},
    asked: [],
    async stop() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return manager;
}
