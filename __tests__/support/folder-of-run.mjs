import { chmodSync, lstatSync, mkdtempSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Short: paths of sockets have 107 bytes, and tests make folders in this one. */
const PREFIX = 'bst-';
/** A socket on which the run listens: whether somebody does is known of every process, also after a SIGKILL. */
const ALIVE = 'alive';

/** @type {string | undefined} */
let folder;

/**
 * Jest's globalSetup: gives the run a temporary folder of its own, which goes with the run, however that ends. What
 * libraries and killed processes leave in it (cdktf a folder for each stack) goes with it. One whose run was killed goes
 * at the start of a later one.
 */
export default async function giveFolder() {
  // In watch mode this is called again.
  if (folder !== undefined) return;
  const place = tmpdir();
  await removeLeftOnes(place);
  folder = mkdtempSync(join(place, PREFIX));
  // As /tmp is: programs that give up their rights find their files in it.
  chmodSync(folder, 0o1777);
  const server = createServer((socket) => socket.destroy());
  // Under its name only when it listens: in between, it looks like that of a run that is gone.
  const path = join(folder, 'new');
  await new Promise((resolve, reject) => server.once('error', reject).listen(path, () => resolve(undefined)));
  renameSync(path, join(folder, ALIVE));
  server.unref();
  // For Jest's workers and what tests start.
  process.env.TMPDIR = folder;

  const remove = () => removeFolder(folder ?? '');
  process.once('exit', remove);
  for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP'])) {
    process.once(signal, () => {
      remove();
      process.kill(process.pid, signal);
    });
  }
}

/** @param {string} place */
async function removeLeftOnes(place) {
  for (const name of readdirSync(place)) {
    const left = join(place, name);
    if (name.startsWith(PREFIX) && (await isLeft(left))) removeFolder(left);
  }
}

/** @param {string} path */
async function isLeft(path) {
  const alive = join(path, ALIVE);
  try {
    const { uid } = lstatSync(path);
    if (uid !== process.getuid?.() || !lstatSync(alive).isSocket()) return false;
  } catch {
    return false;
  }
  return new Promise((resolve) => {
    const socket = connect(alive);
    socket.once('connect', () => {
      socket.destroy();
      resolve(false);
    });
    // Every other error says nothing: a run that is very busy takes no more connections.
    socket.once('error', (error) => resolve('code' in error && error.code === 'ECONNREFUSED'));
  });
}

/**
 * Its socket last, by which a later run knows it if this one does not get to the end. Somebody may still write in it.
 *
 * @param {string} path
 */
function removeFolder(path) {
  const options = { recursive: true, force: true, maxRetries: 5 };
  try {
    for (const name of readdirSync(path)) if (name !== ALIVE) rmSync(join(path, name), options);
    rmSync(path, options);
  } catch {
    // A later run tries again.
  }
}
