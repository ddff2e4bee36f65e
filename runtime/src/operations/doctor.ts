/** `bot doctor`'s round: each check says what it found and, where something is wrong, what to do. */
import { checkConfiguration } from './doctor-configuration.js';
import { checkCertificate, checkClock, checkDisk, checkNginx } from './doctor-machine.js';
import { checkModelFiles, checkPorts, checkSecret, checkService } from './doctor-service.js';
import type { Examined, Finding } from './finding.js';

/** Checks that need no configuration run also where it is broken. */
export async function examine(installation: Examined, onFinding: (finding: Finding) => void): Promise<void> {
  const { config, finding } = checkConfiguration(installation);
  onFinding(finding);
  const checks: (() => Promise<readonly Finding[]>)[] = [
    ...(config === undefined
      ? []
      : [
          () => checkService(installation, config),
          () => checkPorts(installation, config),
          () => checkModelFiles(installation, config),
          () => checkSecret(installation, config),
        ]),
    () => checkDisk(installation, config),
    () => checkClock(),
    () => checkNginx(installation),
    () => checkCertificate(installation),
  ];
  for (const check of checks) for (const found of await check()) onFinding(found);
}
