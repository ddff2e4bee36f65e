/** Second half of the gate: a request from outside, as a user would send it. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { z } from 'zod';

import type { Cloud } from './aws';
import { type Answer, askPlainly, askSecurely, certificateOf, type Question } from './endpoint';
import { GateError, type Settings } from './settings';

type Say = (line: string) => void;

/** The first answer of a large model on two cores. */
const ANSWER_TIMEOUT_MS = 120_000;
const QUESTION = 'Say hello in one short sentence.';

const modelsSchema = z.object({ data: z.array(z.object({ id: z.string() })).min(1) });
const chatSchema = z.object({
  choices: z.array(z.object({ message: z.object({ content: z.string() }) })).min(1),
  usage: z.object({ completion_tokens: z.number() }).optional(),
});

export async function waitForAnswer(
  cloud: Cloud,
  settings: Settings,
  say: Say,
  signal: AbortSignal,
): Promise<void> {
  const { address, httpsPort, externalPort } = settings;
  const fingerprint = (await cloud.report(signal))?.tlsFingerprintSha256;
  if (!fingerprint) {
    throw new GateError(
      `the machine's report in s3://${settings.bucket}/${settings.reportKey} has no certificate fingerprint, so nothing vouches for ${address}. ` +
        `Reboot the machine (aws ec2 reboot-instances --region ${settings.region} --instance-ids ${settings.instanceId}), then deploy again`,
    );
  }
  // In memory only: never printed, never in the environment or the arguments of another program.
  const apiKey = await cloud.apiKey(signal);
  const secure: Question = {
    host: address,
    port: httpsPort,
    path: '/v1/models',
    timeoutMs: ANSWER_TIMEOUT_MS,
    signal,
  };

  const models = await insist(`https://${address}`, settings, signal, () =>
    askSecurely({ ...secure, apiKey }, fingerprint),
  );
  const model = modelsSchema.parse(JSON.parse(models.body)).data[0]?.id;
  const start = Date.now();
  const chat = await insist(`https://${address}`, settings, signal, () =>
    askSecurely({ ...secure, path: '/v1/chat/completions', apiKey, json: chatRequest(model) }, fingerprint),
  );
  const { choices, usage } = chatSchema.parse(JSON.parse(chat.body));
  const took = ((Date.now() - start) / 1000).toFixed(1);
  say(
    `https://${address}/v1 answered in ${took} s with ${usage?.completion_tokens ?? '?'} tokens from ${model}:`,
  );
  say(`  ${JSON.stringify(choices[0]?.message.content.trim().slice(0, 120))}`);

  if (externalPort !== undefined) {
    const plain: Question = { ...secure, port: externalPort };
    // The key stays off the wire here: a refusal from the service itself proves the way just as well.
    await insist(`http://${address}:${externalPort}`, settings, signal, () => askPlainly(plain), 401);
    say(`http://${address}:${externalPort} answers, and refuses requests without a key`);
  }

  mkdirSync(dirname(settings.certificateFile), { recursive: true });
  writeFileSync(settings.certificateFile, await certificateOf(secure, fingerprint));
  say(`certificate: SHA-256 ${fingerprint}`);
  say(`             written to ${settings.certificateFile}`);
}

function chatRequest(model: string | undefined): object {
  return { model, messages: [{ role: 'user', content: QUESTION }], max_tokens: 24, temperature: 0 };
}

/** Asks until the answer has the status that is expected, or until it is clear why not. */
async function insist(
  url: string,
  settings: Settings,
  signal: AbortSignal,
  ask: () => Promise<Answer>,
  expected = 200,
): Promise<Answer> {
  const deadline = Date.now() + settings.patienceMs;
  for (;;) {
    const { answer, error } = await ask().then(
      (answer) => ({ answer, error: undefined }),
      (error: Error) => ({ answer: undefined, error }),
    );
    signal.throwIfAborted();
    if (answer?.status === expected) {
      return answer;
    }
    const isFinal = answer !== undefined && !isPassing(answer.status);
    if (isFinal || Date.now() > deadline) {
      throw new GateError(
        answer === undefined
          ? unreachable(url, error, settings)
          : wrongStatus(url, answer, expected, settings),
      );
    }
    await sleep(settings.pollMs / 2, undefined, { signal });
  }
}

/** nginx before the service, a service that restarts, a rate limit. */
function isPassing(status: number): boolean {
  return status === 429 || status >= 500;
}

function wrongStatus(url: string, { status, body }: Answer, expected: number, settings: Settings): string {
  const remedy =
    status === 401
      ? 'the service does not take the key that is in Secrets Manager: it may have read an older one; restart it'
      : 'its log says why';
  return (
    `${url} answered with status ${status} instead of ${expected}: ${remedy}\n  ${body.slice(0, 300)}\n` +
    `  log: aws ssm start-session --region ${settings.region} --target ${settings.instanceId}, then: sudo journalctl -u bot -u nginx`
  );
}

function unreachable(url: string, error: Error, { instanceId }: Settings): string {
  const { code } = error as NodeJS.ErrnoException;
  const start = `${instanceId} reports that it is ready, but ${url} cannot be reached from here (${error.message || code})`;
  if (code === 'ETIMEDOUT' || code === 'EHOSTUNREACH') {
    return (
      `${start}. Most likely the address you deploy from is in none of allowedCidrs: add it (curl https://checkip.amazonaws.com ` +
      `tells it) or use 'my-address', then deploy again. Otherwise a firewall on your side lets nothing out to that port`
    );
  }
  return `${start}. Deploy again; if it stays so, reboot the machine`;
}
