import { SseParser, TimelineRecorder } from '../../bench/sse';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

describe('SseParser', () => {
  it('returns events however the stream is cut', () => {
    const stream = bytes('data: {"a":"é"}\n\ndata: {"b":2}\r\n\r\ndata: [DONE]\n\n');
    for (let size = 1; size <= stream.length; size++) {
      const parser = new SseParser();
      const events: string[] = [];
      for (let at = 0; at < stream.length; at += size)
        events.push(...parser.push(stream.subarray(at, at + size)));
      expect(events).toEqual(['{"a":"é"}', '{"b":2}']);
    }
  });

  it('passes over comments, which servers send to keep a connection open', () => {
    expect(new SseParser().push(bytes(': keep-alive\n\nevent: x\ndata: 1\n\n'))).toEqual(['1']);
  });
});

describe('TimelineRecorder', () => {
  const chunk = (content: string | null, finish: string | null = null): string =>
    JSON.stringify({ choices: [{ delta: { content }, finish_reason: finish }] });

  it('notes the time of each chunk with text, and takes tokens from the usage', () => {
    const recorder = new TimelineRecorder(100);
    recorder.add(chunk(null), 110); // the role
    recorder.add(chunk('one'), 120);
    recorder.add(chunk(' two three'), 130);
    recorder.add(chunk(null, 'length'), 131);
    recorder.add(
      JSON.stringify({
        choices: [],
        usage: { prompt_tokens: 9, completion_tokens: 3, prompt_tokens_details: { cached_tokens: 4 } },
      }),
      132,
    );
    expect(recorder.finish()).toEqual({
      sentAt: 100,
      chunkAt: [120, 130],
      promptTokens: 9,
      cachedTokens: 4,
      completionTokens: 3,
      finishReason: 'length',
    });
  });

  it('reports an error that comes in mid-stream', () => {
    const recorder = new TimelineRecorder(0);
    expect(() => recorder.add('{"error":{"message":"out of memory"}}', 1)).toThrow(
      /broke off.*out of memory/,
    );
  });
});
