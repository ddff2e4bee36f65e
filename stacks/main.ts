/**
 * The one file to edit. Every prop has a default; stacks/props.ts documents each with its range, cost and risk.
 *
 *   npx cdktf deploy     stands everything up and returns when the endpoint has answered
 *   npx cdktf destroy    takes everything down
 */
import { run } from './app';
import type { BotProps } from './props';

export const props: BotProps = {
  name: 'bot',
  region: 'us-east-1',

  // The machine: two whole cores and 4 GiB, 75 USD a month; c7g.large does the same on Graviton for 53.
  instanceType: 'c7a.large',
  diskGiB: 50,

  // The model: SmolLM2 with 135 million parameters unless one is named. A better one that fits:
  // model: 'hf:bartowski/Llama-3.2-1B-Instruct-GGUF/Llama-3.2-1B-Instruct-Q4_0.gguf',
  contextSize: 4096,

  // Who may reach it: the address you deploy from. Your users' ranges go here: ['203.0.113.0/24'].
  allowedCidrs: ['my-address'],
  externalPort: 18789,

  // Who is told when something is wrong, and before the API key is replaced:
  // alarmEmails: ['ops@example.com'],
  // A name and a certificate that every client knows, where Route 53 has the zone example.com:
  // domain: 'chat.example.com',
};

if (require.main === module) {
  void run(props);
}
