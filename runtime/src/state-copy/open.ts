/** Where the copy of a file of the state directory lies. */
import type { Environment } from '../config/environment.js';
import type { BotConfig } from '../config/schema.js';
import { S3Object } from './s3-object.js';
import type { SharedObject } from './shared-object.js';

/** Undefined where the configuration names no place for copies. */
export function openCopy(config: BotConfig, env: Environment, file: string): SharedObject | undefined {
  const place = config.state_copy;
  return (
    place && new S3Object({ bucket: place.bucket, key: `${place.prefix}${file}`, region: place.region }, env)
  );
}
