import { execFileSync } from 'node:child_process';
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { machineFiles, packMachineFiles } from '../../cloud-init/machine-files';
import { renderUserData } from '../../cloud-init/user-data';
import { temporaryFolder } from '../support/temporary-folder';
import { sampleProps } from './support/sample';

const folder = temporaryFolder();

describe('packMachineFiles', () => {
  it('is unpacked by the Python of the machine, to the same files', () => {
    writeFileSync(join(folder(), 'files.zip'), packMachineFiles(sampleProps()).bytes);
    execFileSync('python3', ['-m', 'zipfile', '-e', join(folder(), 'files.zip'), join(folder(), 'out')]);
    const unpacked = readdirSync(join(folder(), 'out')).map((name) => [
      name,
      readFileSync(join(folder(), 'out', name), 'utf8'),
    ]);
    expect(Object.fromEntries(unpacked)).toEqual(Object.fromEntries(machineFiles(sampleProps())));
  });

  it('gives the same bytes in every time zone', () => {
    const script =
      "const { packMachineFiles } = require('./cloud-init/machine-files.ts');" +
      'console.log(packMachineFiles(JSON.parse(process.env.PROPS)).sha256)';
    const hashes = ['UTC', 'Asia/Kathmandu'].map((zone) =>
      execFileSync(process.execPath, ['--import', 'tsx', '-e', script], {
        env: { ...process.env, TZ: zone, PROPS: JSON.stringify(sampleProps()) },
        encoding: 'utf8',
      }).trim(),
    );
    const { sha256 } = packMachineFiles(sampleProps());
    expect(hashes).toEqual([sha256, sha256]);
  });

  it('stands in the user-data by its hash, which changes with any file', () => {
    const hashIn = (userData: string) => /FILES_SHA256=(\w+)/.exec(userData)?.[1];
    expect(hashIn(renderUserData(sampleProps()))).toBe(packMachineFiles(sampleProps()).sha256);
    expect(hashIn(renderUserData(sampleProps({ memoryMaxMiB: 3000 })))).not.toBe(
      packMachineFiles(sampleProps()).sha256,
    );
  });
});
