/**
 * How a service that runs gives its place to a new one without a moment in which nobody answers. The old process starts
 * the new one, with a channel of Node's between the two:
 *
 *     old -> new  hello       what the engines of the old one take
 *     new -> old  say         a line for whoever waits for the reload
 *     new -> old  make-room   the memory does not hold the models twice
 *     old -> new  room        its answers have ended, its engines too; new connections are kept aside
 *     new -> old  loaded      its models have answered; asks for the listening sockets of its ports
 *     old -> new  listener    one of them, which both hold from then on; so no connection is lost that waits in its queue
 *     old -> new  listeners   that was all
 *     new -> old  open        it accepts connections, and systemd knows it as the service's main process
 *     old -> new  connection  one that was kept aside
 *     old -> new  left        the old one accepts none any more; it ends what it has
 *     new -> old  hurry       the new one is told to end: so should the old one
 *     new -> old  failed      why it cannot run; the old one goes on as if nothing had been
 *
 * A channel that breaks off before `open` is a failure, too: each notices that the other is gone.
 */

/** Set for a process that is to take over. Its value is this protocol's version. */
export const SUCCESSOR_VARIABLE = 'BOT_SUCCESSOR';
export const PROTOCOL = '1';

export type FromOld =
  | { readonly type: 'hello'; readonly residentBytes: number }
  /** `residentBytes`: what the old process itself still takes. */
  | { readonly type: 'room'; readonly residentBytes: number }
  /** Both come with the socket. */
  | { readonly type: 'listener' | 'connection'; readonly port: number }
  | { readonly type: 'listeners' }
  | { readonly type: 'left' };

export type FromNew =
  | { readonly type: 'say'; readonly text: string }
  | { readonly type: 'make-room' }
  | { readonly type: 'loaded'; readonly ports: readonly number[] }
  | { readonly type: 'open' }
  | { readonly type: 'hurry' }
  | { readonly type: 'failed'; readonly reason: string };
