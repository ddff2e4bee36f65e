import type { Cloud, Report } from '../../../scripts/lib/gate/aws';
import { waitForBoot } from '../../../scripts/lib/gate/boot';
import type { Settings } from '../../../scripts/lib/gate/settings';

const SETTINGS: Settings = {
  region: 'us-east-1',
  bucket: 'bucket',
  reportKey: 'reports/i-1.json',
  secretArn: 'arn',
  instanceId: 'i-1',
  address: '127.0.0.1',
  httpsPort: 443,
  externalPort: 18789,
  certificateFile: '/nowhere',
  limitMs: 5000,
  silenceMs: 5000,
  graceMs: 60,
  pollMs: 5,
  patienceMs: 1000,
  emulatorUrl: undefined,
};

function report(changes: Partial<Report>): Report {
  return {
    schema: 1,
    status: 'running',
    instanceId: 'i-1',
    step: 'packages',
    message: '',
    steps: [],
    time: new Date().toISOString(),
    ...changes,
  };
}

/** Tells one report after the other, and the last one from then on. An Error is a request that failed. */
function cloudOf(...reports: (Report | Error | undefined)[]): Cloud {
  return {
    report: () => {
      const next = reports.length > 1 ? reports.shift() : reports[0];
      return next instanceof Error ? Promise.reject(next) : Promise.resolve(next);
    },
    apiKey: () => Promise.reject(new Error('nobody asks for the key while the machine boots')),
  };
}

const NEVER = new AbortController().signal;

async function told(
  cloud: Cloud,
  settings: Partial<Settings> = {},
): Promise<{ lines: string[]; error?: Error }> {
  const lines: string[] = [];
  const outcome = await waitForBoot(
    cloud,
    { ...SETTINGS, ...settings },
    (line) => lines.push(line),
    NEVER,
  ).catch((error: unknown) => error as Error);
  return outcome instanceof Error ? { lines, error: outcome } : { lines };
}

describe('waitForBoot', () => {
  it('tells each step once, with its seconds, until the machine is ready', async () => {
    const packages = { name: 'packages', seconds: 12.34 };
    const user = { name: 'user', seconds: 0.1 };
    const { lines, error } = await told(
      cloudOf(
        undefined,
        report({ steps: [] }),
        report({ step: 'user', steps: [packages] }),
        report({ step: 'user', steps: [packages] }),
        report({ step: 'ready', status: 'ready', steps: [packages, user] }),
      ),
    );
    expect(error).toBeUndefined();
    expect(lines).toEqual([
      expect.stringMatching(/^waiting for i-1 to boot/),
      '  packages     12.3 s',
      '  user          0.1 s',
      'i-1 is ready after 0 s',
    ]);
  });

  it('passes on what a step that goes on has met', async () => {
    // Each look at the clock is ten seconds after the one before.
    let now = Date.now();
    const clock = jest.spyOn(Date, 'now').mockImplementation(() => (now += 10_000));
    const trying = report({ message: 'apt could not install nginx: E: no route, trying again' });
    const { lines } = await told(cloudOf(trying, trying, trying, report({ status: 'ready' })), {
      limitMs: 600_000,
    });
    clock.mockRestore();
    expect(lines[1]).toMatch(
      /^ {2}step packages goes on \(\d+ s\): apt could not install nginx: E: no route, trying again$/,
    );
  });

  it("fails with the machine's own words: step, cause, and the end of its log", async () => {
    const { error } = await told(
      cloudOf(
        undefined,
        report({
          status: 'failed',
          step: 'bundle',
          message: 'the hash is wrong; deploy again',
          log: 'one\ntwo',
        }),
      ),
    );
    expect(error?.message).toMatch(/failed in step bundle/);
    expect(error?.message).toMatch(/the hash is wrong; deploy again/);
    expect(error?.message).toMatch(/ {2}\| one\n {2}\| two\n/);
    expect(error?.message).toMatch(/aws ec2 reboot-instances --region us-east-1 --instance-ids i-1/);
  });

  it('gives an old failure the time of a restart', async () => {
    const old = report({
      status: 'failed',
      step: 'bundle',
      time: new Date(Date.now() - 600_000).toISOString(),
    });
    const { lines, error } = await told(
      cloudOf(old, old, report({ step: 'user' }), report({ status: 'ready' })),
    );
    expect(error).toBeUndefined();
    expect(lines[1]).toMatch(/the last try failed in step bundle; giving the machine \d+ s to try again/);
  });

  it('gives a machine that tries again by itself its time, however fresh the last failure is', async () => {
    const fresh = report({
      status: 'failed',
      step: 'model',
      time: new Date(Date.now() - 5000).toISOString(),
    });
    const { lines, error } = await told(
      cloudOf(fresh, report({ step: 'model' }), report({ status: 'ready' })),
    );
    expect(error).toBeUndefined();
    expect(lines[1]).toMatch(/the last try failed in step model/);
  });

  it('says so when the machine does not try again', async () => {
    const { error } = await told(cloudOf(report({ status: 'failed', step: 'model' })));
    expect(error?.message).toMatch(/failed in step model/);
    expect(error?.message).toMatch(/the machine has stopped trying\. Reboot it/);
  });

  it('says where to look when the machine stays silent', async () => {
    const { error } = await told(cloudOf(undefined), { silenceMs: 20 });
    expect(error?.message).toMatch(/i-1 has said nothing/);
    expect(error?.message).toMatch(/get-console-output --region us-east-1 --instance-id i-1/);
    expect(error?.message).toMatch(/start-session/);
  });

  it('says in which step it was when the time is over', async () => {
    const { error } = await told(cloudOf(report({ step: 'model' })), { limitMs: 20 });
    expect(error?.message).toMatch(/i-1 is not ready after 0 s: it was in step model/);
  });

  it('gets over a request that fails on its way', async () => {
    const { error } = await told(cloudOf(new Error('socket hang up'), report({ status: 'ready' })));
    expect(error).toBeUndefined();
  });

  it('gives up when there is no network at all', async () => {
    const { error } = await told(cloudOf(new Error('getaddrinfo ENOTFOUND')));
    expect(error?.message).toMatch(/ENOTFOUND/);
  });

  it('stops at once when asked to', async () => {
    const stop = new AbortController();
    const waiting = waitForBoot(
      cloudOf(undefined),
      { ...SETTINGS, pollMs: 60_000 },
      () => undefined,
      stop.signal,
    );
    setTimeout(() => stop.abort(), 20);
    await expect(waiting).rejects.toThrow(/abort/i);
  });
});
