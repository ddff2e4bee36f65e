/**
 * What a user's program does, run as one: the `openai` package, streaming, the endpoint's certificate pinned with
 * NODE_EXTRA_CA_CERTS, the token in OPENAI_API_KEY. `openai-client.ts BASE_URL` prints one line of JSON.
 */
import OpenAI from 'openai';

export interface StreamedAnswer {
  chunks: number;
  text: string;
  finishReason: string | null;
  completionTokens: number;
}

async function main(baseURL: string): Promise<void> {
  const client = new OpenAI({ baseURL, maxRetries: 0, timeout: 60_000 });
  const [model] = (await client.models.list()).data;
  const stream = await client.chat.completions.create({
    model: model?.id ?? '',
    messages: [{ role: 'user', content: 'Name three colours.' }],
    max_tokens: 48,
    stream: true,
    stream_options: { include_usage: true },
  });
  const answer: StreamedAnswer = { chunks: 0, text: '', finishReason: null, completionTokens: 0 };
  for await (const chunk of stream) {
    answer.chunks++;
    answer.text += chunk.choices[0]?.delta.content ?? '';
    answer.finishReason = chunk.choices[0]?.finish_reason ?? answer.finishReason;
    answer.completionTokens = chunk.usage?.completion_tokens ?? answer.completionTokens;
  }
  console.log(JSON.stringify(answer));
}

void main(process.argv[2] ?? '');
