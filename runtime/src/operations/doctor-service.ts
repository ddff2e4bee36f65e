/** The service's own checks: does it answer, are its ports its own, can it have its model and its key? */
import { ApiKeys } from '../access/api-keys.js';
import { keySource } from '../access/key-source.js';
import type { BotConfig } from '../config/schema.js';
import { mebibytes } from '../engine/memory.js';
import { portOwner } from '../server-port-owner.js';
import type { Examined, Finding } from './finding.js';
import { isThere } from './backup.js';
import { serviceEnvironment } from './installation.js';
import { findService } from './service-process.js';
import { readStatus } from './status.js';

export async function checkService({ configFile }: Examined, config: BotConfig): Promise<readonly Finding[]> {
  const check = 'service';
  const status = await readStatus(configFile, config.network.internal_port);
  if (!status.running) {
    const text = `nothing that is bot answers on port ${status.port}`;
    return [
      { check, verdict: 'fail', text, remedy: 'sudo systemctl restart bot; why it ended: sudo bot logs' },
    ];
  }
  if (!status.ready) {
    const text = `version ${status.version} runs, but its model does not answer yet`;
    return [
      {
        check,
        verdict: 'fail',
        text,
        remedy: 'wait for the model to load; if that takes minutes: sudo bot logs',
      },
    ];
  }
  const restarts = status.engine_restarts ?? 0;
  if (restarts > 0) {
    const text = `ready, but its engine was restarted ${restarts} times`;
    return [
      { check, verdict: 'warn', text, remedy: 'the reason of each is in: sudo bot logs --level WRN,ERR' },
    ];
  }
  return [{ check, verdict: 'ok', text: `version ${status.version} is ready with ${status.model}` }];
}

export async function checkPorts(installation: Examined, config: BotConfig): Promise<readonly Finding[]> {
  const { internal_port: internal, console_port: console, external_port: external } = config.network;
  const own = findService(installation.configFile);
  const behindNginx = await hasNginx(installation);
  return [
    portFinding(internal, 'network.internal_port', 'bot', own?.pid),
    ...(console === 0 ? [] : [portFinding(console, 'network.console_port', 'bot', own?.pid)]),
    ...(behindNginx
      ? [portFinding(external, 'network.external_port', 'nginx'), portFinding(443, undefined, 'nginx')]
      : []),
  ];
}

/** Whether the port is held by whom it is for: the service with this process id, or the program of this name. */
function portFinding(port: number, key: string | undefined, holder: string, pid?: number): Finding {
  const check = `port ${port}`;
  const owner = portOwner(port);
  if (owner === undefined) {
    // Without root, the sockets of other users cannot be told apart from none.
    return { check, verdict: 'skip', text: 'held by nobody that this user can see' };
  }
  const isRight = pid === undefined ? owner.startsWith(`${holder} `) : owner.endsWith(`(process ${pid})`);
  if (isRight) return { check, verdict: 'ok', text: `held by ${owner}, as it should be` };
  const change = key === undefined ? '' : `, or set \`${key}\` to a free port`;
  return {
    check,
    verdict: 'fail',
    text: `held by ${owner}, but it is ${holder}'s`,
    remedy: `stop that program (sudo kill ${/\d+(?=\)$)/.exec(owner)?.[0] ?? 'PID'})${change}, then restart ${holder}`,
  };
}

export async function checkModelFile(
  { configFile }: Examined,
  config: BotConfig,
): Promise<readonly Finding[]> {
  const check = 'model';
  const path = config.model_path;
  if (path === undefined) {
    return [{ check, verdict: 'skip', text: `a remote service answers: ${config.remote_service?.endpoint}` }];
  }
  try {
    const { checkModel } = await import('./model-check.js');
    const found = await checkModel(path, config, findService(configFile)?.residentBytes ?? 0);
    if (found.problem !== undefined) {
      const [text = '', remedy = ''] = found.problem.split('; ', 2);
      return [{ check, verdict: 'fail', text, remedy: found.problem.slice(text.length + 2) || remedy }];
    }
    const need = `needs ${mebibytes(found.totalBytes)}`;
    const limit = found.limit === undefined ? '' : ` of the ${mebibytes(found.limit.bytes)} it may have`;
    return [{ check, verdict: 'ok', text: `${path}: whole, ${found.quantisation}, ${need}${limit}` }];
  } catch (error) {
    const { message, remedy } = error as { message: string; remedy?: string };
    return [
      {
        check,
        verdict: 'fail',
        text: message,
        remedy: remedy ?? 'fetch it again, then: bot model load --path FILE',
      },
    ];
  }
}

export async function checkSecret({ layout }: Examined, config: BotConfig): Promise<readonly Finding[]> {
  const check = 'API key';
  const { source } = keySource(config, serviceEnvironment(layout, process.env));
  const secret = config.security.api_key_secret_id;
  try {
    const keys = await ApiKeys.open({ source, refreshIntervalMs: 0, onProblem: () => undefined });
    const count = keys.current().length;
    const where = secret === undefined ? 'in the configuration' : `read from ${secret}`;
    return [{ check, verdict: 'ok', text: `${where}${count > 1 ? ', with the one before it' : ''}` }];
  } catch (error) {
    const [text = '', remedy] = (error as Error).message.split(' What to do: ');
    return [{ check, verdict: 'fail', text, remedy: remedy ?? 'put a key into the secret, as plain text' }];
  }
}

export function hasNginx({ layout }: Examined): Promise<boolean> {
  return isThere(layout.nginx);
}
