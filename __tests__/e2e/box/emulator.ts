/** moto as AWS, on the host's end of the cable into the VPC and nowhere else. */
import { join } from 'node:path';
import { start, waitFor } from './commands';
import type { Network } from './network';
import type { RunFolder } from './run-folder';

export class Emulator {
  private constructor(readonly url: string) {}

  static async start(folder: RunFolder, network: Network, region: string): Promise<Emulator> {
    const { uplinkHost, emulatorPort, emulatorUrl } = network.addresses;
    const process = start(
      ['python3', join(__dirname, 'emulator.py'), uplinkHost, String(emulatorPort), region],
      folder.undo,
      {
        name: 'AWS emulator',
        logFile: join(folder.logs, 'emulator.log'),
        // AWS's own managed policies (the one for sessions, say); and none of moto's 600 images with their snapshots.
        env: {
          ...globalThis.process.env,
          MOTO_IAM_LOAD_MANAGED_POLICIES: 'true',
          MOTO_EC2_LOAD_DEFAULT_AMIS: 'false',
        },
      },
    );
    let ended = false;
    void process.exited.then(() => (ended = true));
    await waitFor(
      'the AWS emulator',
      async () => {
        if (ended)
          throw new Error(`the AWS emulator ended at once: see ${join(folder.logs, 'emulator.log')}`);
        try {
          return (await fetch(`${emulatorUrl}/moto-api/`)).ok ? true : undefined;
        } catch {
          return undefined;
        }
      },
      { timeoutMs: 120_000 },
    );
    return new Emulator(emulatorUrl);
  }
}
