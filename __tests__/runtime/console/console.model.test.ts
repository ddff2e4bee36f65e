/** The console on the compiled runtime with the real model, the way an administrator meets it. */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { freePort } from '../../support/free-port';
import { describeInBrowser, useBrowser } from '../support/browser';

const bot = join(__dirname, '../../../runtime/dist/cli/bot.js');
const locks = readFileSync(join(__dirname, '../../../runtime/models.lock.json'), 'utf8');
const modelSource = Object.keys(JSON.parse(locks) as object).find((source) =>
  source.includes('SmolLM2-135M'),
)!;

describeInBrowser('the console of a running service', () => {
  const browser = useBrowser();
  const folder = mkdtempSync(join(tmpdir(), 'bot-console-'));
  const config = join(folder, 'config.yaml');
  let service: ChildProcess;
  let url: string;

  beforeAll(async () => {
    const { path } = JSON.parse(run('model', 'pull', modelSource, '--json')) as { path: string };
    const [internal, external, web] = await Promise.all([freePort(), freePort(), freePort()]);
    writeFileSync(
      config,
      JSON.stringify({
        network: { internal_port: internal, external_port: external, console_port: web },
        security: { api_key: 'console-test-key-0123456789' },
        model_path: path,
        model_name: 'smollm2',
        engine: { context_size: 1024, sequences: 2 },
      }),
    );
    service = spawn(process.execPath, [bot, 'serve', '--config', config], { stdio: 'ignore' });
    url = `http://127.0.0.1:${web}`;
  }, 120_000);

  afterAll(async () => {
    if (service?.exitCode === null) {
      service.kill('SIGTERM');
      await once(service, 'exit');
    }
    rmSync(folder, { recursive: true });
  });

  it('signs in with what generate_token.sh printed, streams an answer and shows how the service is', async () => {
    await reachable(url);
    const { page, faults, strayRequests } = await browser.open(url);
    await page.getByLabel('Access token').fill(run('token', '--scope', 'admin', '--config', config));
    await page.getByRole('button', { name: 'Sign in' }).click();
    await page.locator('#state').getByText('Ready').waitFor({ timeout: 60_000 });

    await page.getByLabel('Max tokens').fill('64');
    await page.getByLabel('Temperature').fill('0');
    await page.getByLabel('Message').fill('Count from one to twenty in words.');
    await page.getByRole('button', { name: 'Send' }).click();
    const answer = page.getByRole('article', { name: 'Model' });
    const lengths = new Set<number>();
    while ((await answer.getByText('tokens/s').count()) === 0) {
      lengths.add((await answer.locator('.body').textContent())?.length ?? 0);
    }
    expect(lengths.size).toBeGreaterThan(3);
    expect(await answer.locator('.note').textContent()).toMatch(
      /^\d+ tokens at [\d.]+ tokens\/s · first after [\d.]+ m?s · prompt \d+/,
    );

    await page.getByRole('link', { name: 'Status' }).click();
    await page.getByText('1,024 tokens for each sequence').waitFor();
    const tile = (name: string) => page.locator('.tile', { hasText: name }).locator('.value');
    await tile('Chat requests').getByText('1', { exact: true }).waitFor();
    expect(await tile('Time to first token').textContent()).toMatch(/^[\d.]+ m?s$/);

    await page.getByRole('link', { name: 'Logs' }).click();
    await page.locator('.line.INF').getByText('POST /v1/chat/completions 200').waitFor();
    expect([...faults, ...strayRequests]).toEqual([]);
  }, 120_000);

  it('stops an answer, and the engine is free again', async () => {
    const { page } = await browser.open(url);
    await page.getByLabel('Access token').fill(run('token', '--scope', 'admin', '--config', config));
    await page.getByRole('button', { name: 'Sign in' }).click();
    // The likeliest answer to this goes on for more than 700 tokens: it does not end before it is stopped.
    await page.getByLabel('Temperature').fill('0');
    await page.getByLabel('Message').fill('Tell me a very long story about the sea.');
    await page.getByLabel('Message').press('Enter');
    await page.locator('.turn.assistant .body p').waitFor();
    await page.getByLabel('Message').press('Escape');
    await page.getByText('Stopped.').waitFor();
    await page.getByRole('link', { name: 'Status' }).click();
    await page.locator('.tile', { hasText: 'Answering now' }).locator('.value').getByText('0').waitFor();
    expect(await page.locator('.tile', { hasText: 'Failed' }).locator('.value').textContent()).toBe('0');
  }, 60_000);
});

function run(...args: string[]): string {
  return execFileSync(process.execPath, [bot, ...args], { encoding: 'utf8' });
}

/** Waits until somebody answers; the test's own time limit bounds it. */
async function reachable(url: string): Promise<void> {
  while (!(await fetch(url).catch(() => undefined))) await new Promise((resolve) => setTimeout(resolve, 100));
}
