/** Renders the table of errors as the page docs/errors.md; a test keeps the page and the table the same. */
import { API_ERRORS, type ErrorEntry } from './catalog.js';

const INTRODUCTION = `# Errors

Every error has OpenAI’s shape, on every route, and the header \`X-Request-Id\`, under which the log has the request:

\`\`\`json
{
  "error": {
    "message": "Expected \`temperature\` to be a number from 0 to 2, got 3",
    "type": "invalid_request_error",
    "param": "temperature",
    "code": "invalid_value"
  }
}
\`\`\`

What is no HTTP/1.1, does not arrive within a minute or has more than 16 KiB of headers reaches no route: it gets 400, 408 or
431 without a body.

An error in the middle of a streamed answer comes as the last event, with the same object; no \`[DONE]\` follows it.
Statuses 429 and 503 carry \`Retry-After\`, in seconds, where another try makes sense; OpenAI’s clients heed it.
`;

export function renderErrorsPage(): string {
  const sections = Object.entries<ErrorEntry>(API_ERRORS).map(
    ([code, entry]) =>
      `## ${entry.status} \`${code}\`\n\n> ${inTheTable(entry.message)}\n\n${entry.help} Type: \`${entry.type}\`.\n`,
  );
  return [INTRODUCTION, ...sections].join('\n');
}

/** Without a count the plural stands for all. */
function inTheTable(message: string): string {
  return message.replace(/\{(\w+):(\w+)\}/g, '{$1} $2s');
}
