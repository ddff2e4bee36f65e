/** User-data as the stack renders it, and as the machine unpacks it. */
import { gunzipSync } from 'node:zlib';

import { load } from 'js-yaml';

import { machineFiles } from '../../../cloud-init/machine-files';
import { renderUserData } from '../../../cloud-init/user-data';
import type { UserDataProps } from '../../../cloud-init/user-data-props';

const HASH = '0123456789abcdef'.repeat(4);

/** As large as the stack's can get: the longest bucket, ARN and names, and every key of the configuration. */
export function sampleProps(changes: Partial<UserDataProps> = {}): UserDataProps {
  const modelFile = `${'Model-With-A-Long-Name-'.repeat(3)}Q4_K_M.gguf`;
  return {
    region: 'ap-southeast-1',
    bucket: 'b'.repeat(63),
    bundleKey: `bundles/bot-0.1.0-linux-arm64-${HASH}.tar.gz`,
    bundleSha256: HASH,
    modelKey: `models/${HASH}/${modelFile}`,
    modelSha256: HASH,
    modelFile,
    filesPrefix: 'files/',
    reportPrefix: 'reports/',
    publicAddress: '203.0.113.255',
    externalPort: 18789,
    internalPort: 8000,
    memoryMaxMiB: 3200,
    certificate: {
      domain: `${'d'.repeat(50)}.example.com`,
      hostedZoneId: `Z${'0'.repeat(31)}`,
      acmeServer: 'https://acme-v02.api.letsencrypt.org/directory',
      email: `hostmaster@${'d'.repeat(50)}.example.com`,
      key: `tls/${'d'.repeat(50)}.example.com.tar.gz`,
    },
    monitoring: { namespace: 'Botstack', deployment: 'bot', logGroupPrefix: '/botstack/bot' },
    config: {
      service: { name: 'smart-bot-service', version: '0.1.0' },
      network: { external_port: 18789, internal_port: 8000, console_port: 8080 },
      security: {
        api_key_secret_id: `arn:aws:secretsmanager:ap-southeast-1:123456789012:secret:${'s'.repeat(64)}`,
        region: 'ap-southeast-1',
        encryption: 'AES-256-GCM',
      },
      model_path: `/opt/bot/models/${modelFile}`,
      model_name: 'a-model-with-a-long-name',
      max_tokens: 2048,
      temperature: 0.7,
      engine: {
        context_size: 4096,
        sequences: 4,
        threads: 2,
        batch_size: 256,
        flash_attention: true,
        kv_cache_type: 'f16',
      },
      limits: { max_queue: 16, max_request_seconds: 300 },
      logging: { level: 'info', directory: '/var/log/bot' },
    },
    ...changes,
  };
}

interface WrittenFile {
  readonly path: string;
  readonly content: string;
  readonly encoding?: 'gz+b64';
  readonly permissions?: string;
}

export interface CloudConfig {
  readonly write_files: readonly WrittenFile[];
  readonly runcmd: readonly (readonly string[])[];
}

/** The files that cloud-init writes, by name. */
export function writtenFiles(userData: string): ReadonlyMap<string, string> {
  const { write_files: files } = load(userData) as CloudConfig;
  return new Map(
    files.map(({ path, content, encoding }) => [
      path.slice(path.lastIndexOf('/') + 1),
      encoding === undefined ? content : gunzipSync(Buffer.from(content, 'base64')).toString(),
    ]),
  );
}

/** Every file that the machine gets: by cloud-init, or from S3. */
export function allFiles(changes?: Partial<UserDataProps>): ReadonlyMap<string, string> {
  const props = sampleProps(changes);
  return new Map([...writtenFiles(renderUserData(props)), ...machineFiles(props)]);
}

/** One file of the sample. */
export function renderedFile(name: string, changes?: Partial<UserDataProps>): string {
  const content = allFiles(changes).get(name);
  if (content === undefined) throw new Error(`the machine gets no file ${name}`);
  return content;
}
