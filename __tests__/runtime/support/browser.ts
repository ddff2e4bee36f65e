/** A real Chromium, without a window, for tests of the console. */
import { existsSync } from 'node:fs';

import { chromium, type Browser, type BrowserContextOptions, type Page } from 'playwright-core';

const candidates = [process.env['CHROMIUM'], '/usr/bin/chromium', '/usr/bin/chromium-browser'];
const executablePath = candidates.find((path) => path !== undefined && existsSync(path));

/** `describe` where there is a Chromium; elsewhere the tests are skipped and the reason stands in their name. */
export const describeInBrowser: (name: string, tests: () => void) => void = executablePath
  ? describe
  : (name, tests) => describe.skip(`${name} (no Chromium: install it, or name its file in CHROMIUM)`, tests);

export interface TestBrowser {
  /** A page with storage of its own. */
  open(url: string, options?: BrowserContextOptions): Promise<OpenPage>;
}

export interface OpenPage {
  readonly page: Page;
  /** What the page asked other servers for; stays empty. */
  readonly strayRequests: readonly string[];
  /** Uncaught exceptions and breaches of the content security policy; stays empty. */
  readonly faults: readonly string[];
}

/** Call inside a `describeInBrowser`: starts the browser before its tests and ends it after them. */
export function useBrowser(): TestBrowser {
  let browser: Browser;
  beforeAll(async () => {
    browser = await chromium.launch({
      ...(executablePath && { executablePath }),
      args: [
        '--no-sandbox',
        '--disable-gpu',
        '--disable-quic',
        '--no-first-run',
        '--disable-background-networking',
        '--disable-component-update',
        '--disable-sync',
      ],
    });
  });
  afterEach(async () => {
    for (const context of browser.contexts()) await context.close();
  });
  afterAll(() => browser.close());

  return {
    async open(url, options) {
      const page = await (await browser.newContext(options)).newPage();
      const strayRequests: string[] = [];
      const faults: string[] = [];
      page.on('request', (request) => {
        if (new URL(request.url()).origin !== new URL(url).origin) strayRequests.push(request.url());
      });
      page.on('pageerror', (error) => faults.push(error.message));
      page.on('console', (message) => {
        if (message.text().includes('Content Security Policy')) faults.push(message.text());
      });
      await page.goto(url);
      return { page, strayRequests, faults };
    },
  };
}
