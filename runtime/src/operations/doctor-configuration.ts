/** `bot doctor` on the configuration: is it valid, as the service reads it? */
import { checkPaths, ConfigError, loadConfig } from '../config/load.js';
import type { BotConfig } from '../config/schema.js';
import type { Examined, Finding } from './finding.js';
import { serviceEnvironment } from './installation.js';
import { environmentOf, findService } from './service-process.js';

const CHECK = 'configuration';

/** Variables that only the service has which runs. */
interface Borrowed {
  readonly names: readonly string[];
  readonly pid: number;
}

export function checkConfiguration(installation: Examined): { config?: BotConfig; finding: Finding } {
  try {
    const { config, borrowed } = read(installation);
    try {
      checkPaths(installation.configFile, config);
    } catch (error) {
      return { config, finding: explained(error, installation) };
    }
    return { config, finding: valid(installation, borrowed) };
  } catch (error) {
    return { finding: explained(error, installation) };
  }
}

/**
 * What is not set here is taken from the service that runs with this file: the key of a run of `bot up`, for one, is
 * nowhere else.
 *
 * @throws ConfigError
 */
function read({ layout, configFile }: Examined): { config: BotConfig; borrowed?: Borrowed } {
  const environment = serviceEnvironment(layout, process.env);
  try {
    return { config: loadConfig(configFile, environment) };
  } catch (error) {
    const unset = error instanceof ConfigError ? error.unset : [];
    const pid = unset.length === 0 ? undefined : findService(configFile)?.pid;
    const running = pid === undefined ? undefined : environmentOf(pid);
    if (pid === undefined || running === undefined) throw error;
    const names = unset.filter((name) => (running[name] ?? '') !== '');
    const found = Object.fromEntries(names.map((name) => [name, running[name]]));
    return { config: loadConfig(configFile, { ...environment, ...found }), borrowed: { names, pid } };
  }
}

function valid({ layout, configFile }: Examined, borrowed: Borrowed | undefined): Finding {
  const text = `${configFile} is valid`;
  if (borrowed === undefined) return { check: CHECK, verdict: 'ok', text };
  const names = borrowed.names.join(', ');
  const as = `${text}, with ${names} as the service has it (process ${borrowed.pid})`;
  // With another file it was started by somebody who knows what it needs.
  if (configFile !== layout.configFile) return { check: CHECK, verdict: 'ok', text: as };
  const remedy = `set ${names} in ${layout.environmentFile}, unless the unit sets it: the next start needs it`;
  return { check: CHECK, verdict: 'warn', text: as, remedy };
}

function explained(error: unknown, { layout, configFile }: Examined): Finding {
  if (!(error instanceof ConfigError)) throw error;
  return {
    check: CHECK,
    verdict: 'fail',
    text: `${configFile}: ${error.problems.join('; ')}`,
    remedy:
      error.unset.length === 0
        ? 'correct the file, then: sudo bot config check && sudo systemctl reload-or-restart bot'
        : `set ${error.unset.join(', ')} in ${layout.environmentFile}, then: sudo systemctl reload-or-restart bot; ` +
          'if the service has it from elsewhere: run doctor while it runs, as its user or with sudo',
  };
}
