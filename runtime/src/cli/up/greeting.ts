/** What `bot up` prints once the service answers: everything a person needs, each line ready to be copied. */
import { shellWord } from '../../operations/shell-word.js';
import { localTime } from './local-time.js';

export interface Greeting {
  readonly port: number;
  readonly consolePort: number;
  /** As the service calls it; OpenAI's route wants it in each request. */
  readonly model: string;
  readonly token: string;
  readonly expiresAt: Date;
  readonly configFile: string;
  readonly seconds: number;
}

export function greeting(facts: Greeting): string {
  const endpoint = `http://127.0.0.1:${facts.port}`;
  return `
${facts.model} is ready after ${facts.seconds.toFixed(1)} s.

  Endpoint   ${endpoint}/v1  (for OpenAI clients; also POST ${endpoint}/api/v1/chat)
  Console    http://127.0.0.1:${facts.consolePort}
  Settings   ${facts.configFile}
  Token      valid until ${localTime(facts.expiresAt)}, or until this run ends

${facts.token}

Try it:

${curlLine(endpoint, facts.model, facts.token)}

Ctrl-C stops it.
`;
}

/** One line, so that a paste runs it whole; single quotes keep every shell's hands off the JSON. */
export function curlLine(endpoint: string, model: string, token: string): string {
  const messages = [{ role: 'user', content: 'Why is the sky blue?' }];
  const body = JSON.stringify({ model, messages, max_tokens: 200 });
  return [
    `curl ${endpoint}/v1/chat/completions`,
    `-H 'Authorization: Bearer ${token}'`,
    `-H 'Content-Type: application/json'`,
    `-d ${shellWord(body)}`,
  ].join(' ');
}
