/** The gate as Terraform runs it: a program with an environment, an exit status, and a Ctrl-C. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';

const SCRIPT = join(__dirname, '..', '..', 'scripts', 'wait-ready.ts');

/** Stands where S3 stands: one object, or none. */
let report: object | undefined;
let requests: string[] = [];
let s3: Server;

beforeAll(async () => {
  s3 = createServer((request, response) => {
    requests.push(`${request.method} ${request.url?.split('?')[0]}`);
    if (report === undefined) {
      response.writeHead(404, { 'content-type': 'application/xml' });
      response.end('<Error><Code>NoSuchKey</Code><Message>not there</Message></Error>');
      return;
    }
    response.end(JSON.stringify(report));
  });
  await new Promise<void>((resolve) => s3.listen(0, '127.0.0.1', resolve));
});

afterAll(() => s3.close());

beforeEach(() => {
  report = undefined;
  requests = [];
});

function start(stage: string, changes: NodeJS.ProcessEnv = {}) {
  const child = spawn(process.execPath, [require.resolve('tsx/cli'), SCRIPT, '--stage', stage], {
    env: {
      PATH: process.env['PATH'],
      BOTSTACK_REGION: 'us-east-1',
      BOTSTACK_BUCKET: 'bucket',
      BOTSTACK_REPORT_KEY: 'reports/i-1.json',
      BOTSTACK_SECRET_ARN: 'arn:aws:secretsmanager:us-east-1:1:secret:s',
      BOTSTACK_INSTANCE_ID: 'i-1',
      BOTSTACK_ADDRESS: '203.0.113.1',
      BOTSTACK_EXTERNAL_PORT: '18789',
      BOTSTACK_CERTIFICATE_FILE: '/nowhere/certificate.pem',
      BOTSTACK_GRACE_SECONDS: '1',
      AWS_ENDPOINT_URL: `http://127.0.0.1:${(s3.address() as AddressInfo).port}`,
      AWS_ACCESS_KEY_ID: 'testing',
      AWS_SECRET_ACCESS_KEY: 'testing',
      AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED: 'true',
      ...changes,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => (output += text));
  }
  const ended = once(child, 'close').then(([status]) => ({ status: status as number, output }));
  return { child, ended, output: () => output };
}

const REPORT = {
  schema: 1,
  instanceId: 'i-1',
  step: 'ready',
  message: '',
  steps: [],
  time: '2026-01-01T00:00:00Z',
};

describe('wait-ready', () => {
  it('ends with 0 when the machine is ready', async () => {
    report = { ...REPORT, status: 'ready', steps: [{ name: 'packages', seconds: 9 }] };
    const { status, output } = await start('boot').ended;
    expect(output).toMatch(/packages {6}9\.0 s\ni-1 is ready/);
    expect(status).toBe(0);
  });

  it('ends with 1 and the cause when the boot failed, without a stack trace', async () => {
    report = {
      ...REPORT,
      status: 'failed',
      step: 'model',
      message: 'damaged',
      time: new Date().toISOString(),
    };
    const { status, output } = await start('boot').ended;
    expect(output).toMatch(/failed in step model.*\n {2}damaged/);
    expect(output).not.toMatch(/^\s+at /m);
    expect(status).toBe(1);
  });

  it('ends with 130 soon after Ctrl-C', async () => {
    const running = start('boot');
    while (!running.output().includes('to boot') || requests.length === 0) {
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    running.child.kill('SIGINT');
    const { status, output } = await running.ended;
    expect(output).toMatch(/stopped; the machine goes on/);
    expect(status).toBe(130);
  });

  it('sends nothing to an address that an emulator made up', async () => {
    const { status, output } = await start('answer').ended;
    expect(output).toMatch(/203\.0\.113\.1 is not this deployment's address/);
    expect(requests).toEqual([]);
    expect(status).toBe(1);
  });

  it('says what to do when there are no credentials', async () => {
    const { status, output } = await start('boot', {
      AWS_ACCESS_KEY_ID: undefined,
      AWS_SECRET_ACCESS_KEY: undefined,
      AWS_EC2_METADATA_DISABLED: 'true',
      AWS_CONFIG_FILE: '/nowhere/config',
      AWS_SHARED_CREDENTIALS_FILE: '/nowhere/credentials',
    }).ended;
    expect(output).toMatch(/AWS credentials are missing or no longer valid .*: sign in again/);
    expect(status).toBe(1);
  });
});
