/** `bot doctor`'s round: each check says what it found and, where something is wrong, what to do. */
import { checkPaths, ConfigError } from '../config/load.js';
import type { BotConfig } from '../config/schema.js';
import { checkCertificate, checkClock, checkDisk, checkNginx } from './doctor-machine.js';
import { checkModelFiles, checkPorts, checkSecret, checkService } from './doctor-service.js';
import type { Examined, Finding } from './finding.js';
import { installedConfig } from './installation.js';

/** Checks that need no configuration run also where it is broken. */
export async function examine(installation: Examined, onFinding: (finding: Finding) => void): Promise<void> {
  const { config, finding } = configuration(installation);
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

function configuration(installation: Examined): { config?: BotConfig; finding: Finding } {
  const check = 'configuration';
  const { configFile } = installation;
  try {
    const config = installedConfig(installation);
    try {
      checkPaths(configFile, config);
    } catch (error) {
      return { config, finding: explained(error) };
    }
    return { config, finding: { check, verdict: 'ok', text: `${configFile} is valid` } };
  } catch (error) {
    return { finding: explained(error) };
  }

  function explained(error: unknown): Finding {
    if (!(error instanceof ConfigError)) throw error;
    return {
      check,
      verdict: 'fail',
      text: `${configFile}: ${error.problems.join('; ')}`,
      remedy: 'correct the file, then: sudo bot config check && sudo systemctl reload-or-restart bot',
    };
  }
}
