import { join } from 'node:path';

import type { Page } from 'playwright-core';

import { EngineError } from '../../../runtime/src/engine/engine';
import { signAccessToken } from '../../../runtime/src/access/access-token';
import { temporaryFolder } from '../../support/temporary-folder';
import { describeInBrowser, useBrowser } from '../support/browser';
import { fails, neverEnds, says } from '../support/scripted-engine';
import {
  API_KEY,
  startTestService,
  stopTestServices,
  until,
  type TestService,
} from '../support/test-service';

const consoleDirectory = join(__dirname, '../../../runtime/console');

describeInBrowser('the console in a browser', () => {
  stopTestServices();
  const browser = useBrowser();
  const folder = temporaryFolder();

  let service: TestService;
  beforeEach(async () => {
    service = await startTestService({ consoleDirectory });
  });

  /** Opens the console and signs in. */
  async function signIn(credential = API_KEY, options = {}) {
    const opened = await browser.open(service.consoleUrl, options);
    await opened.page.getByLabel('Access token').fill(credential);
    await opened.page.getByRole('button', { name: 'Sign in' }).click();
    await opened.page.getByRole('heading', { name: 'Chat' }).waitFor();
    return opened;
  }

  async function ask(page: Page, text: string) {
    await page.getByLabel('Message').fill(text);
    await page.getByLabel('Message').press('Enter');
  }

  const answer = (page: Page) => page.getByRole('article', { name: 'Model' }).last();

  it('keeps the page shut until the service accepts the token', async () => {
    const { page } = await browser.open(service.consoleUrl);
    await page.getByLabel('Access token').fill('wrong');
    await page.getByLabel('Access token').press('Enter');
    expect(await page.getByRole('alert').textContent()).toBe('The API key or access token is not valid');
    expect(await page.getByRole('navigation').isVisible()).toBe(false);
    expect(await page.evaluate('Object.keys({ ...sessionStorage, ...localStorage })')).toEqual([]);
  });

  it('issues a token, shows it once, and revokes it', async () => {
    service = await startTestService({ consoleDirectory, stateDirectory: folder() });
    const { page, faults } = await signIn();
    await page.getByRole('link', { name: 'Tokens' }).click();
    await page.getByText('No token was issued yet.').waitFor();
    await page.getByLabel('User').fill('ada');
    await page.getByRole('button', { name: 'Issue token' }).click();
    await page.getByRole('cell', { name: 'not revoked', exact: true }).waitFor();
    const token = (await page.locator('#token-made-text').textContent()) ?? '';
    const models = () => fetch(`${service.url}/v1/models`, { headers: { Authorization: `Bearer ${token}` } });
    expect((await models()).status).toBe(200);
    await page.getByRole('button', { name: /^Revoke the token of ada/ }).click();
    await page.getByRole('cell', { name: 'revoked', exact: true }).waitFor();
    expect((await models()).status).toBe(401);
    await page.getByRole('button', { name: 'Sign out' }).click();
    expect(await page.locator('#token-made-text').textContent()).toBe('');
    expect(faults).toEqual([]);
  });

  it('changes limits and word rules, in force at once', async () => {
    service = await startTestService({ consoleDirectory, stateDirectory: folder() });
    const { page, faults } = await signIn();
    await page.getByRole('link', { name: 'Access' }).click();
    await page.getByLabel('For each token').fill('5');
    await page.getByRole('button', { name: 'Add rule' }).click();
    await page.getByLabel('Name').fill('greetings');
    await page.getByLabel('Words, one a line').fill('hello\n敏感词');
    await page.getByRole('button', { name: 'Save' }).click();
    await page.getByText('Saved; in force now.').waitFor();
    await page.getByRole('link', { name: 'Chat' }).click();
    await ask(page, 'hi');
    await answer(page).getByText('*** there').waitFor();
    await page.getByRole('link', { name: 'Access' }).click();
    await page.getByLabel('For each token').fill('2000');
    expect(await page.locator('#access-per-token:invalid').count()).toBe(1);
    expect(faults).toEqual([]);
  });

  it('shows only what the token’s scopes open', async () => {
    const { page } = await signIn((await signAccessToken(API_KEY, 'zoe', 3600)).token);
    const links = page.getByRole('navigation').getByRole('link');
    expect(await links.allTextContents()).toEqual(expect.arrayContaining(['Chat', 'Status']));
    expect(await page.getByRole('link', { name: 'Tokens' }).isVisible()).toBe(false);
    expect(await page.getByRole('link', { name: 'Logs' }).isVisible()).toBe(false);
  });

  it('forgets the token and the conversation at sign-out', async () => {
    const { page } = await signIn();
    await ask(page, 'a secret');
    await answer(page).getByText('2 tokens').waitFor();
    await page.getByRole('button', { name: 'Sign out' }).click();
    expect(await page.evaluate('Object.keys(sessionStorage)')).toEqual([]);
    expect(await page.locator('body').innerHTML()).not.toContain('a secret');
  });

  it('asks for a new token when the old one has ended, and says why', async () => {
    const { page } = await signIn((await signAccessToken(API_KEY, 'zoe', 3600)).token);
    expect(await page.locator('#user').textContent()).toMatch(/^zoe, until /);
    // The tab is looked at again the next day.
    const { token } = await signAccessToken(API_KEY, 'zoe', -60);
    await page.evaluate(`sessionStorage.setItem('botstack.token', '${token}')`);
    await page.reload();
    await page.getByText('The access token has expired').waitFor();
    expect(await page.getByLabel('Access token').isVisible()).toBe(true);
    expect(await page.evaluate('sessionStorage.length')).toBe(0);
  });

  it('sends the whole conversation, with the settings that were filled in', async () => {
    const { page } = await signIn();
    await ask(page, 'first');
    await answer(page).getByText('2 tokens').waitFor();
    await page.getByLabel('Temperature').fill('0');
    await page.getByLabel('Max tokens').fill('12');
    await ask(page, 'second');
    await until(() => service.engine.requests.length === 2);
    expect(service.engine.requests[1]).toMatchObject({
      temperature: 0,
      maxTokens: 12,
      input: {
        messages: [
          { role: 'user', content: 'first' },
          { role: 'assistant', content: 'Hello there' },
          { role: 'user', content: 'second' },
        ],
      },
    });
  });

  it('does not send settings that are out of range', async () => {
    const { page } = await signIn();
    await page.getByLabel('Temperature').fill('3');
    await ask(page, 'too hot');
    await page.waitForTimeout(200);
    expect(service.engine.requests).toEqual([]);
    expect(await page.getByLabel('Message').inputValue()).toBe('too hot');
  });

  it('stops the work in the engine with the Stop button and keeps what was written', async () => {
    service.engine.script = neverEnds();
    const { page } = await signIn();
    await ask(page, 'go on');
    await answer(page).getByText('xxxxx').waitFor();
    await page.getByRole('button', { name: 'Stop' }).click();
    await until(() => service.engine.cancelled.length === 1);
    await answer(page).getByText('Stopped.').waitFor();
    expect(await page.getByRole('button', { name: 'Send' }).isVisible()).toBe(true);
  });

  it('shows an error that comes in the middle of an answer, and tries again', async () => {
    service.engine.script = fails(new EngineError('engine_interrupted', 'the engine died'), 'Half ');
    const { page } = await signIn();
    await ask(page, 'try');
    await answer(page).getByRole('alert').waitFor();
    expect(await answer(page).textContent()).toContain('Half');
    expect(await answer(page).getByRole('alert').textContent()).toContain(
      'ended while it worked on this answer',
    );

    service.engine.script = says('Whole');
    await page.getByRole('button', { name: 'Try again' }).click();
    await answer(page).getByText('Whole').waitFor();
    expect(await page.getByRole('article').count()).toBe(2);
    expect(service.engine.requests[1]?.input).toEqual({ messages: [{ role: 'user', content: 'try' }] });

    await page.getByRole('link', { name: 'Status' }).click();
    const figure = (name: string) => page.locator('.tile', { hasText: name }).locator('.value');
    await figure('Chat requests').getByText('2', { exact: true }).waitFor();
    expect(await figure('Failed requests').textContent()).toBe('1');
  });

  it('leaves markup in an answer as text', async () => {
    const markup = '<img src=x onerror="document.title=1"> <script>document.title=2</script>';
    service.engine.script = says(markup, '\n```html\n', markup, '\n```');
    const { page, faults, strayRequests } = await signIn();
    await ask(page, 'attack');
    await answer(page).getByText('4 tokens').waitFor();
    expect(await answer(page).locator('.body p').textContent()).toBe(markup);
    expect(await answer(page).locator('.body pre').textContent()).toBe(markup);
    expect(await answer(page).locator('img, script').count()).toBe(0);
    expect(await page.title()).toBe('Chat – botstack console');
    expect([...faults, ...strayRequests]).toEqual([]);
  });

  it('follows the state of the engine, with its reason', async () => {
    const { page } = await signIn();
    await page.getByRole('link', { name: 'Status' }).click();
    await page.locator('#status-headline').getByText('Ready').waitFor();
    service.engine.changeState('restarting', 'the engine process was killed by SIGKILL');
    await page.locator('#status-headline').getByText('Restarting').waitFor();
    await page.getByText('Reason: the engine process was killed by SIGKILL').waitFor();
    expect(await page.locator('#state').textContent()).toBe('Restarting');
  });

  it('says so when the service is gone, and recovers by itself', async () => {
    const { page } = await signIn();
    await page.context().setOffline(true);
    await page.getByText('the service cannot be reached').waitFor();
    expect(await page.locator('#state').textContent()).toBe('Unreachable');
    await page.context().setOffline(false);
    await page.locator('#state').getByText('Ready').waitFor();
    expect(await page.locator('#offline').isVisible()).toBe(false);
  });

  it('filters the log, and does not fill it with its own requests', async () => {
    const { page } = await signIn();
    await ask(page, 'for the log');
    await answer(page).getByText('2 tokens').waitFor();
    await service.call('/v1/models', undefined, { headers: { Authorization: 'Bearer wrong' } });
    await page.getByRole('link', { name: 'Logs' }).click();
    const shown = page.locator('#log .line:visible');
    await page.locator('.line.SEC').getByText('error=invalid_api_key').waitFor();
    expect((await shown.allTextContents()).filter((line) => /admin|\.js|\.css/.test(line))).toEqual([]);

    await page.getByRole('checkbox', { name: 'SEC' }).uncheck();
    expect(await page.locator('.line.SEC:visible').count()).toBe(0);
    await page.getByLabel('Find in the log').fill('CHAT/COMPLETIONS');
    expect(await shown.count()).toBe(1);
    expect(await page.locator('#log-count').textContent()).toMatch(/^1 of the last \d+ lines$/);
  });

  it.each(['light', 'dark'] as const)('fits 360 pixels, %s', async (colorScheme) => {
    const { page } = await signIn(API_KEY, { colorScheme, viewport: { width: 360, height: 640 } });
    service.engine.script = says('```\n', 'wide '.repeat(100), '\n```\n', 'w'.repeat(500));
    await ask(page, 'w'.repeat(500));
    await answer(page).getByText('4 tokens').waitFor();
    for (const view of ['Chat', 'Status', 'Logs']) {
      await page.getByRole('link', { name: view }).click();
      await page.getByRole('heading', { name: view, level: 1 }).waitFor();
      const widest = await page.evaluate<number>(
        "Math.max(...['#app', '#content', '#transcript', '#log'].map((id) => document.querySelector(id).scrollWidth))",
      );
      expect(widest).toBeLessThanOrEqual(360);
    }
  });
});
