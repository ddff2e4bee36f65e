/** An upgrade to a release from before there was a reload, and from it: the real service, with a stand-in for systemctl. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { layoutAt } from '../../../runtime/src/operations/layout';
import { systemdWith } from '../../../runtime/src/operations/service-manager';
import { upgrade } from '../../../runtime/src/operations/upgrade';
import { testModel } from '../../support/test-model';
import { InstalledService } from '../support/installed-service';

let service: InstalledService;
const PATH = process.env['PATH'];

/** Does what the unit says, and keeps account of it. */
const SYSTEMCTL = `#!/bin/sh
root=$(dirname "$0")/..
echo "$1" >>"$root/told"
export RUNTIME_DIRECTORY="$root/run"
case "$1" in
  restart | stop) exec "$root/service" "$1" ;;
  reload) exec "$root/opt/bot/bin/bot" reload --quiet --config "$root/etc/bot/config.yaml" ;;
esac
`;

/** Its `bot` knows no reload, and its service listens for none. */
function asBeforeReloads(folder: string): void {
  const change = (name: string, from: RegExp, to: string) => {
    const file = join(folder, 'app/dist', name);
    const text = readFileSync(file, 'utf8');
    expect(text).toMatch(from);
    writeFileSync(file, text.replace(from, to));
  };
  change('cli/bot.js', /^ +registerReload,\n/m, '');
  change('server/life.js', /^.*handover\.open\(\).*$/m, '');
}

beforeAll(async () => {
  service = await InstalledService.create(testModel().path);
  service.install(service.bundle('0.2.0'));
  for (const name of ['bin', 'run']) mkdirSync(service.path(name));
  writeFileSync(service.path('bin/systemctl'), SYSTEMCTL, { mode: 0o755 });
  writeFileSync(service.path('bin/journalctl'), '#!/bin/sh\ncat "$(dirname "$0")/../output"\n', {
    mode: 0o755,
  });
  process.env['PATH'] = `${service.path('bin')}:${PATH}`;
}, 120_000);
afterAll(() => {
  process.env['PATH'] = PATH;
  service.dispose();
});

test('restarts the service, there and back', async () => {
  const manager = systemdWith({
    bot: service.path('opt/bot/bin/bot'),
    reloadSocket: service.path('run/reload.sock'),
  });
  await manager.restart();
  await service.ready();
  const upgradeTo = async (version: string, from?: string) => {
    const said: string[] = [];
    const installation = {
      layout: layoutAt(service.root),
      configFile: service.path('etc/bot/config.yaml'),
      manager,
      say: (line: string) => said.push(line),
      warn: (line: string) => said.push(line),
    };
    await upgrade(installation, { version, from });
    return said.join('\n');
  };

  const there = await upgradeTo('0.1.0', service.bundle('0.1.0', asBeforeReloads));
  expect(there).toMatch(/the service was restarted\nversion 0\.1\.0 with model \S+ answered/);
  const back = await upgradeTo('0.2.0');
  expect(back).toMatch(/the service was restarted\nversion 0\.2\.0 with model \S+ answered/);
  expect(service.read('told')).not.toContain('reload');
}, 120_000);
