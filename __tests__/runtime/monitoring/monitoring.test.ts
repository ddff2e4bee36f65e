import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { load } from 'js-yaml';

import { API_ERRORS } from '../../../runtime/src/errors/catalog';
import { modelsOf } from '../../../runtime/src/config/models';
import { createMetrics } from '../../../runtime/src/metrics/metrics';
import { ServedModels } from '../../../runtime/src/serving/served-models';
import { run, testWith } from '../../cloud-init/support/tools';
import { temporaryFolder } from '../../support/temporary-folder';
import { REPOSITORY } from '../../support/test-model';
import { ScriptedEngine } from '../support/scripted-engine';
import { testConfig } from '../support/test-service';

const FOLDER = join(REPOSITORY, 'runtime', 'monitoring');
const RULES = join(FOLDER, 'alerts.yml');
const TESTS = join(__dirname, 'alerts.promtool.yml');

interface Dashboard {
  panels: { title: string; targets: { expr: string }[] }[];
}

const dashboard = JSON.parse(readFileSync(join(FOLDER, 'grafana-dashboard.json'), 'utf8')) as Dashboard;
const queries = dashboard.panels.flatMap(({ targets }) => targets.map(({ expr }) => expr));
const alerts = (
  load(readFileSync(RULES, 'utf8')) as { groups: { rules: { alert: string; expr: string }[] }[] }
).groups.flatMap(({ rules }) => rules);

function promtool(...args: readonly string[]): string {
  const { status, output } = run('promtool', args);
  if (status !== 0) throw new Error(output);
  return output;
}

function served(engine = new ScriptedEngine()): ServedModels {
  const config = modelsOf(testConfig())[0]!;
  return new ServedModels([{ config, engine }], 16);
}

const testWithPromtool = (name: string, body: () => void | Promise<void>) =>
  testWith('promtool', 'prometheus', name, body);

describe('the alert rules', () => {
  const folder = temporaryFolder();

  testWithPromtool('are valid, and go off when they should and not before', () => {
    expect(promtool('check', 'rules', RULES)).toMatch(/SUCCESS: 10 rules found/);
    expect(promtool('test', 'rules', TESTS)).toMatch(/SUCCESS/);
  });

  const changes = [
    ['> 0.85', '> 0.95'],
    ['< 500e6', '< 300e6'],
    ['route=~"/(v1|api)/.*", status=~"5.."', 'status=~"5.."'],
    ['[15m]) >= 2', '[15m]) >= 1'],
  ] as const;
  testWithPromtool('are held by tests that notice a change', () => {
    for (const [from, to] of changes) expect(() => testChanged(from, to)).toThrow(/FAILED/);
  });

  function testChanged(from: string, to: string): void {
    const text = readFileSync(RULES, 'utf8');
    expect(text).toContain(from);
    writeFileSync(join(folder(), 'alerts.yml'), text.replaceAll(from, to));
    const tests = readFileSync(TESTS, 'utf8').replace(/rule_files: .*/, 'rule_files: [alerts.yml]');
    writeFileSync(join(folder(), 'tests.yml'), tests);
    promtool('test', 'rules', join(folder(), 'tests.yml'));
  }

  testWithPromtool('queries of the dashboard are valid', () => {
    const rules = queries.map((expr, index) => ({
      record: `panel:${index}`,
      expr: expr.replaceAll('$__rate_interval', '5m').replaceAll('$instance', '.*'),
    }));
    const file = join(folder(), 'queries.yml');
    writeFileSync(file, JSON.stringify({ groups: [{ name: 'dashboard', rules }] }));
    expect(promtool('check', 'rules', file)).toMatch(/SUCCESS/);
  });
});

describe('alert rules and dashboard', () => {
  const metricsIn = (expr: string) =>
    [...expr.matchAll(/\b((?:botstack|process)_\w+)/g)].map(([name]) => name.replace(/_bucket$/, ''));

  test('use metrics that the service has', async () => {
    const { registry } = createMetrics({ models: served(), version: '1.2.3' });
    const known = (await registry.getMetricsAsJSON()).map(({ name }) => name);
    const used = new Set([...queries, ...alerts.map(({ expr }) => expr)].flatMap(metricsIn));
    expect([...used].filter((name) => !known.includes(name))).toEqual([]);
    expect(used.size).toBeGreaterThan(12);
  });

  test('use error codes that the service gives', () => {
    const codes = alerts.flatMap(({ expr }) => [...expr.matchAll(/code="(\w+)"/g)].map(([, code]) => code));
    expect(codes).toEqual(['server_busy']);
    expect(Object.keys(API_ERRORS)).toEqual(expect.arrayContaining(codes));
  });
});

describe('/metrics', () => {
  const folder = temporaryFolder();

  testWithPromtool('is named and described as Prometheus asks', async () => {
    const engine = new ScriptedEngine();
    // Shown only where there is something to tell.
    engine.promptCache = { limitBytes: 1000, bytes: 700, conversations: 3, hits: 5, evictions: 2 };
    engine.drafts = { tokens: 30, accepted: 12 };
    const { registry } = createMetrics({ models: served(engine), version: '1.2.3' });
    const file = join(folder(), 'metrics');
    writeFileSync(file, await registry.metrics());
    expect(readFileSync(file, 'utf8')).toMatch(/^botstack_spec_decode_/m);
    const check = run('sh', ['-c', 'promtool check metrics < "$1"', 'sh', file]);
    expect(check).toEqual({ status: 0, output: '' });
  });
});

test('the host metrics are the machine’s own', async () => {
  const { registry } = createMetrics({ models: served(), version: '1.2.3' });
  const text = await registry.metrics();
  const value = (name: string) => Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(text)?.[1]);
  const kilobytes = (name: string) =>
    Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(readFileSync('/proc/meminfo', 'utf8'))?.[1]);
  expect(value('botstack_host_memory_bytes')).toBe(kilobytes('MemTotal') * 1024);
  const available = value('botstack_host_memory_available_bytes') / 1024;
  expect(Math.abs(available - kilobytes('MemAvailable')) / kilobytes('MemTotal')).toBeLessThan(0.1);
  const [busy, idle] = ['busy', 'idle'].map((mode) =>
    value(`botstack_host_cpu_seconds_total{mode="${mode}"}`),
  );
  const [, ...ticks] = execFileSync('head', ['-n1', '/proc/stat'], { encoding: 'utf8' })
    .trim()
    .split(/\s+/)
    .map(Number);
  // user, nice, system, idle, irq: waiting for disks and what a hypervisor takes are in neither.
  const total = [0, 1, 2, 3, 5].reduce((sum, at) => sum + ticks[at]!, 0) / 100;
  expect((busy! + idle!) / total).toBeGreaterThan(0.9);
  expect((busy! + idle!) / total).toBeLessThan(1.1);
});
