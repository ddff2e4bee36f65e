import type { Request } from 'express';

/**
 * A process on this machine asks this machine by its own name. Another name on a loopback connection is a web page
 * that has its name resolved to 127.0.0.1, in the browser of somebody with a tunnel.
 */
export function isDirect(req: Request): boolean {
  const isLoopback = /^(::ffff:)?127\.0\.0\.1$|^::1$/.test(req.socket.remoteAddress ?? '');
  const isOwnName = ['localhost', '127.0.0.1', '[::1]'].includes(req.hostname);
  const isProxied = req.get('x-forwarded-for') !== undefined || req.get('forwarded') !== undefined;
  return isLoopback && isOwnName && !isProxied;
}
