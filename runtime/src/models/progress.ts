/** Progress of a long transfer: a bar on a terminal, a line every few seconds in a log. Always on standard error. */
import cliProgress from 'cli-progress';

export interface Progress {
  /** @param total bytes, undefined while unknown */
  start(label: string, total: number | undefined): void;
  /** @param done bytes of the whole file that are there now, also those of an earlier, interrupted transfer */
  update(done: number, total?: number): void;
  /** Instead of the bar: what goes on without bytes to count. Ends with the next `phase`, `start` or `stop`. */
  phase(text: string): void;
  /** Ends the bar, if one shows. */
  stop(): void;
  /** One line about what happens: a retry, a first download. */
  note(text: string): void;
}

export const silentProgress: Progress = {
  start: () => undefined,
  update: () => undefined,
  phase: () => undefined,
  stop: () => undefined,
  note: () => undefined,
};

export function terminalProgress(stream: NodeJS.WriteStream = process.stderr): Progress {
  return stream.isTTY ? new BarProgress(stream) : new LineProgress(stream);
}

class BarProgress implements Progress {
  readonly #stream: NodeJS.WriteStream;
  #bar: cliProgress.SingleBar | undefined;
  #phaseShows = false;
  #meter = new RateMeter();

  constructor(stream: NodeJS.WriteStream) {
    this.#stream = stream;
  }

  start(label: string, total: number | undefined): void {
    this.stop();
    this.#meter = new RateMeter();
    this.#bar = new cliProgress.SingleBar({
      stream: this.#stream,
      hideCursor: true,
      // Ctrl-C is the caller's business: it keeps what was downloaded.
      gracefulExit: false,
      barsize: 30,
      format: (options, { value, total: all }) => {
        const share = all > 1 ? Math.min(1, value / all) : 0;
        const bar = '█'
          .repeat(Math.round(share * (options.barsize ?? 30)))
          .padEnd(options.barsize ?? 30, '░');
        return `${label}  ${bar}  ${this.#meter.describe(value, all > 1 ? all : undefined)}`;
      },
    });
    this.#bar.start(total ?? 1, 0);
  }

  update(done: number, total?: number): void {
    this.#meter.add(done);
    if (total !== undefined) this.#bar?.setTotal(total);
    this.#bar?.update(done);
  }

  phase(text: string): void {
    this.stop();
    this.#stream.write(`${text} …`);
    this.#phaseShows = true;
  }

  stop(): void {
    this.#bar?.stop();
    this.#bar = undefined;
    if (this.#phaseShows) this.#stream.write('\r\u001B[2K');
    this.#phaseShows = false;
  }

  note(text: string): void {
    this.stop();
    this.#stream.write(`${text}\n`);
  }
}

/** Between two lines, in milliseconds. */
const LINE_INTERVAL = 3_000;

class LineProgress implements Progress {
  readonly #stream: NodeJS.WritableStream;
  #meter = new RateMeter();
  #label = '';
  #total: number | undefined;
  #nextLine = 0;

  constructor(stream: NodeJS.WritableStream) {
    this.#stream = stream;
  }

  start(label: string, total: number | undefined): void {
    this.#label = label;
    this.#total = total;
    this.#meter = new RateMeter();
    this.#nextLine = performance.now() + LINE_INTERVAL;
    this.#stream.write(`${label}${total === undefined ? '' : `  ${megabytes(total)}`}\n`);
  }

  update(done: number, total = this.#total): void {
    this.#total = total;
    this.#meter.add(done);
    if (performance.now() < this.#nextLine) return;
    this.#nextLine = performance.now() + LINE_INTERVAL;
    this.#stream.write(`${this.#label}  ${this.#meter.describe(done, total)}\n`);
  }

  phase(text: string): void {
    this.stop();
    this.#stream.write(`${text}\n`);
  }

  stop(): void {
    this.#nextLine = Number.POSITIVE_INFINITY;
  }

  note(text: string): void {
    this.#stream.write(`${text}\n`);
  }
}

/** Rate over the last few seconds, and from it the time that is left. */
class RateMeter {
  readonly #samples: { time: number; done: number }[] = [];

  add(done: number): void {
    const time = performance.now();
    this.#samples.push({ time, done });
    while (this.#samples.length > 2 && (this.#samples[0]?.time ?? time) < time - 5_000) this.#samples.shift();
  }

  describe(done: number, total: number | undefined): string {
    const first = this.#samples[0];
    const last = this.#samples.at(-1);
    const seconds = first && last ? (last.time - first.time) / 1000 : 0;
    const rate = first && last && seconds > 0.2 ? (last.done - first.done) / seconds : 0;
    const amount = total === undefined ? megabytes(done) : `${megabytes(done)} of ${megabytes(total)}`;
    if (rate <= 0) return amount;
    const left = total === undefined ? '' : `, ${duration((total - done) / rate)} left`;
    return `${amount}, ${megabytes(rate)}/s${left}`;
  }
}

export function megabytes(bytes: number): string {
  return bytes >= 1e9 ? `${(bytes / 1e9).toFixed(2)} GB` : `${(bytes / 1e6).toFixed(1)} MB`;
}

function duration(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return `${whole} s`;
  return whole < 3600
    ? `${Math.floor(whole / 60)} min ${whole % 60} s`
    : `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
}
