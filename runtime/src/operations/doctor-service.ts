/** The service's own checks: does it answer, are its ports its own, can it have its model and its key? */
import { ApiKeys } from '../access/api-keys.js';
import { keySource } from '../access/key-source.js';
import { modelsOf } from '../config/models.js';
import type { BotConfig } from '../config/schema.js';
import { mebibytes } from '../engine/memory.js';
import { counted } from '../errors/counted.js';
import { portOwner } from '../server/port-owner.js';
import type { Examined, Finding } from './finding.js';
import { isThere } from './backup.js';
import { serviceEnvironment } from './installation.js';
import type { ModelVerdict } from './model-check.js';
import { findService, isSameFile, servedConfig } from './service-process.js';
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
        remedy:
          'wait for the model to load; where it failed, the reason is in: sudo bot logs --level WRN,ERR',
      },
    ];
  }
  const absent = (status.models ?? []).filter(({ ready }) => !ready).map(({ name }) => name);
  if (absent.length > 0) {
    const text = `ready with ${status.model}, but not with ${absent.join(', ')}`;
    return [{ check, verdict: 'fail', text, remedy: 'the reason is in: sudo bot logs --level WRN,ERR' }];
  }
  const restarts = status.engine_restarts ?? 0;
  if (restarts > 0) {
    const which = (status.models ?? []).filter((model) => model.engine_restarts > 0);
    const whose = which.length === 0 ? '' : ` of ${which.map(({ name }) => name).join(', ')}`;
    const text = `ready, but the engine${whose} was restarted ${counted(restarts, 'time')}`;
    return [
      { check, verdict: 'warn', text, remedy: 'the reason of each is in: sudo bot logs --level WRN,ERR' },
    ];
  }
  const names = (status.models ?? []).map(({ name }) => name).join(', ') || status.model;
  return [{ check, verdict: 'ok', text: `version ${status.version} is ready with ${names}` }];
}

export async function checkPorts(installation: Examined, config: BotConfig): Promise<readonly Finding[]> {
  const { internal_port: internal, console_port: console, external_port: external } = config.network;
  const own = findService(installation.configFile);
  const behindNginx = await hasNginx(installation);
  return [
    botsPort(internal, 'network.internal_port', installation, own?.pid),
    ...(console === 0 ? [] : [botsPort(console, 'network.console_port', installation, own?.pid)]),
    ...(behindNginx
      ? [portFinding(external, 'network.external_port', 'nginx'), portFinding(443, undefined, 'nginx')]
      : []),
  ];
}

/** A bot that runs with another file is not a foreign program: perhaps that one is meant. */
function botsPort(port: number, key: string, { configFile }: Examined, pid: number | undefined): Finding {
  const finding = portFinding(port, key, 'bot', pid);
  const holder = Number(processOf(portOwner(port)));
  const served = finding.verdict === 'fail' && holder > 0 ? servedConfig(holder) : undefined;
  if (served === undefined) return finding;
  // While a reload loads the models, it is the process before the newest one.
  if (isSameFile(served, configFile))
    return {
      check: finding.check,
      verdict: 'ok',
      text: `held by bot (process ${holder}), which is being replaced`,
    };
  const { path } = served;
  const change = `set \`${key}\` to a free port, then restart bot`;
  if (!isSameFile(served, path)) {
    return {
      ...finding,
      text: `held by a bot of a container, with a ${path} of its own (process ${holder})`,
      remedy: `stop that one, or ${change}`,
    };
  }
  return {
    ...finding,
    text: `held by a bot that runs with ${path} (process ${holder}), not with ${configFile}`,
    remedy: `if that is the one you mean: bot doctor --config ${path}; else stop it (sudo kill ${holder}), or ${change}`,
  };
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
    remedy: `stop that program (sudo kill ${processOf(owner) ?? 'PID'})${change}, then restart ${holder}`,
  };
}

function processOf(owner: string | undefined): string | undefined {
  return /\d+(?=\)$)/.exec(owner ?? '')?.[0];
}

/** Each model by itself; together, they are checked by their sum. */
export async function checkModelFiles(
  { configFile }: Examined,
  config: BotConfig,
): Promise<readonly Finding[]> {
  const free = findService(configFile)?.residentBytes ?? 0;
  const checked: ModelVerdict[] = [];
  const findings: Finding[] = [];
  for (const model of modelsOf(config)) {
    const check = model.key === '' ? 'model' : `model ${model.id}`;
    if (model.path === undefined) {
      const text = `a remote service answers: ${model.remote?.endpoint}`;
      findings.push({ check, verdict: 'skip', text });
      continue;
    }
    try {
      const { checkModel } = await import('./model-check.js');
      const found = await checkModel(model.path, model.engine, free);
      checked.push(found);
      findings.push(modelFinding(check, model.path, found));
    } catch (error) {
      const { message, remedy } = error as { message: string; remedy?: string };
      const fetchAgain = 'fetch it again, then: bot model load --path FILE';
      findings.push({ check, verdict: 'fail', text: message, remedy: remedy ?? fetchAgain });
    }
  }
  return checked.length > 1 ? [...findings, sumFinding(checked)] : findings;
}

function modelFinding(check: string, path: string, found: ModelVerdict): Finding {
  if (found.problem !== undefined) {
    const [text = '', remedy = ''] = found.problem.split('; ', 2);
    return { check, verdict: 'fail', text, remedy: found.problem.slice(text.length + 2) || remedy };
  }
  const need = `needs ${mebibytes(found.totalBytes)}`;
  const limit = found.limit === undefined ? '' : ` of the ${mebibytes(found.limit.bytes)} it may have`;
  return { check, verdict: 'ok', text: `${path}: whole, ${found.quantisation}, ${need}${limit}` };
}

function sumFinding(checked: readonly ModelVerdict[]): Finding {
  const check = 'models together';
  const bytes = checked.reduce((sum, { totalBytes }) => sum + totalBytes, 0);
  const limit = checked[0]?.limit?.bytes ?? Infinity;
  if (bytes <= limit) return { check, verdict: 'ok', text: `need ${mebibytes(bytes)}` };
  return {
    check,
    verdict: 'fail',
    text: `need ${mebibytes(bytes)}, the service may have ${mebibytes(limit)}`,
    remedy: 'remove one of `models`, or set a smaller engine.context_size or fewer engine.sequences for it',
  };
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
