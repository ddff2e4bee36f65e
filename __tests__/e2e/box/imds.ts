/** Starts the metadata service in the VPC and tells it about guests. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { run, start, waitFor } from './commands';
import type { InstanceMetadata } from './imds-server';
import type { Network } from './network';
import type { RunFolder } from './run-folder';

export class MetadataService {
  private constructor(readonly folder: string) {}

  static async start(folder: RunFolder, network: Network): Promise<MetadataService> {
    const service = new MetadataService(folder.folder('imds'));
    const { namespace, imds } = network.addresses;
    const inside = ['ip', 'netns', 'exec', namespace];
    const tsx = pathToFileURL(require.resolve('tsx')).href;
    start(
      [
        ...inside,
        process.execPath,
        '--import',
        tsx,
        join(__dirname, 'imds-server.ts'),
        service.folder,
        imds,
        '80',
      ],
      folder.undo,
      {
        name: 'metadata service',
        logFile: join(folder.logs, 'imds.log'),
      },
    );
    await waitFor(
      'the metadata service',
      async () => {
        const { stdout } = await run(
          [
            ...inside,
            'curl',
            '-s',
            '-m',
            '1',
            '-o',
            '/dev/null',
            '-w',
            '%{http_code}',
            `http://${imds}/latest/`,
          ],
          { allowFailure: true },
        );
        return stdout === '401' ? true : undefined;
      },
      { timeoutMs: 60_000 },
    );
    return service;
  }

  /** From now on the guest at this address is this instance. */
  describe(metadata: InstanceMetadata): void {
    writeFileSync(join(this.folder, `${metadata.ip}.json`), JSON.stringify(metadata));
  }
}
