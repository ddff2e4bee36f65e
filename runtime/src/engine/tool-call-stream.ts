import type { ToolForm } from './tool-form.js';

export type ToolPiece =
  | { readonly type: 'text'; readonly text: string }
  | { readonly type: 'call'; readonly index: number; readonly name: string }
  | { readonly type: 'arguments'; readonly index: number; readonly text: string };

/**
 * Finds calls in a stream of text, and takes them apart as they come. From the first trigger on the grammar holds the
 * model to the form, so nothing here has to guess.
 */
export class ToolCallStream {
  readonly #form: ToolForm;
  readonly #most: number;
  readonly #beginsWithCall: boolean;
  /** Text came that is no part of a call. */
  #hasText = false;
  #state: 'text' | 'name' | 'arguments' | 'close' | 'ended' | 'plain' = 'text';
  #pending = '';
  #calls = 0;
  readonly #json = new JsonEnd();

  /**
   * `most`: after so many calls the answer is over. `beginsWithCall`: nothing else that the answer can be begins as a
   * call does.
   */
  constructor(form: ToolForm, most: number, beginsWithCall = false) {
    this.#form = form;
    this.#most = most;
    this.#beginsWithCall = beginsWithCall;
  }

  /** How many calls have begun. */
  get calls(): number {
    return this.#calls;
  }

  /** A trigger was read: what comes now is written under the grammar. */
  get triggered(): boolean {
    return this.#state !== 'text' || this.#calls > 0;
  }

  /** What was read last may be the beginning of a trigger. */
  get mayBegin(): boolean {
    return this.#state === 'text' && this.#pending !== '';
  }

  /** What was read behind the trigger; of interest at the moment in which it was found. */
  get behindTrigger(): string {
    return this.#state === 'name' ? this.#pending : '';
  }

  /** As many calls were made as are allowed. */
  get ended(): boolean {
    return this.#state === 'ended';
  }

  push(text: string): ToolPiece[] {
    this.#pending += text;
    const pieces: ToolPiece[] = [];
    while (this.#advance(pieces));
    return pieces;
  }

  /** What came behind the trigger is no call: all of it is text, and the rest of the answer too. */
  abandon(): ToolPiece[] {
    const text = this.#form.trigger + this.#pending;
    this.#pending = '';
    this.#state = 'plain';
    return [{ type: 'text', text }];
  }

  /** The answer is over: what could have been the beginning of a trigger was text, unless it was a call that is cut. */
  end(): ToolPiece[] {
    const isCall = this.#calls > 0 || (this.#beginsWithCall && !this.#hasText);
    const text = this.#state === 'text' && !isCall ? this.#pending : '';
    this.#pending = '';
    return text === '' ? [] : [{ type: 'text', text }];
  }

  /** Goes on by one part of the form. False when more text is needed. */
  #advance(pieces: ToolPiece[]): boolean {
    const { trigger, open, nameEnd, close } = this.#form;
    switch (this.#state) {
      case 'text': {
        const at = this.#pending.indexOf(trigger);
        const free = at >= 0 ? at : this.#pending.length - beginningOf(trigger, this.#pending);
        // Between calls there is the separator only.
        if (this.#calls === 0 && free > 0) {
          this.#hasText = true;
          pieces.push({ type: 'text', text: this.#pending.slice(0, free) });
        }
        this.#pending = this.#pending.slice(at >= 0 ? at + trigger.length : free);
        if (at >= 0) this.#state = 'name';
        return at >= 0;
      }
      case 'name': {
        const at = this.#pending.indexOf(nameEnd, open.length);
        if (at < 0) return false;
        pieces.push({ type: 'call', index: this.#calls++, name: this.#pending.slice(open.length, at) });
        this.#pending = this.#pending.slice(at + nameEnd.length);
        this.#json.reset();
        this.#state = 'arguments';
        return true;
      }
      case 'arguments': {
        const end = this.#json.find(this.#pending);
        const text = end === undefined ? this.#pending : this.#pending.slice(0, end);
        if (text !== '') pieces.push({ type: 'arguments', index: this.#calls - 1, text });
        this.#pending = this.#pending.slice(text.length);
        if (end !== undefined) this.#state = 'close';
        return end !== undefined;
      }
      case 'close': {
        if (this.#pending.length < close.length) return false;
        this.#pending = this.#pending.slice(close.length);
        this.#state = this.#calls >= this.#most ? 'ended' : 'text';
        return !this.ended;
      }
      case 'plain':
        if (this.#pending !== '') pieces.push({ type: 'text', text: this.#pending });
        this.#pending = '';
        return false;
      case 'ended':
        this.#pending = '';
        return false;
    }
  }
}

/** Length of the longest end of `text` with which `wanted` could begin. */
function beginningOf(wanted: string, text: string): number {
  for (let length = Math.min(wanted.length - 1, text.length); length > 0; length--) {
    if (text.endsWith(wanted.slice(0, length))) return length;
  }
  return 0;
}

/** Finds where a JSON object ends that comes in pieces. */
class JsonEnd {
  #depth = 0;
  #inText = false;
  #escaped = false;

  reset(): void {
    this.#depth = 0;
    this.#inText = false;
    this.#escaped = false;
  }

  /** The place behind the object's last brace, if this piece has it. */
  find(piece: string): number | undefined {
    for (let at = 0; at < piece.length; at++) {
      const char = piece[at];
      if (this.#escaped) this.#escaped = false;
      else if (this.#inText) {
        if (char === '\\') this.#escaped = true;
        else if (char === '"') this.#inText = false;
      } else if (char === '"') this.#inText = true;
      else if (char === '{' || char === '[') this.#depth++;
      else if (char === '}' || char === ']') {
        this.#depth--;
        if (this.#depth === 0) return at + 1;
      }
    }
    return undefined;
  }
}
