/**
 * Loaded before `bot serve` when `bot up` starts it: ends the service when `bot up` is gone, however it went (a kill
 * -9 included), and takes the run's folder with it. The service itself knows nothing of this.
 */
import { rmSync } from 'node:fs';

/** The run's folder. Set for this one process, not for what it starts. */
const folder = process.env['BOT_UP_FOLDER'];
delete process.env['BOT_UP_FOLDER'];

if (folder !== undefined) {
  process.once('disconnect', () => process.kill(process.pid, 'SIGTERM'));
  // The channel alone must not keep a drained service alive.
  process.channel?.unref();
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
}
