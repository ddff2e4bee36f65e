/** The text that the machine boots from: cloud-init's rendering, made safe for Terraform. */
import { basename } from 'node:path';

import { type MachineFileProps, packMachineFiles, type PackedFiles } from '../cloud-init/machine-files';
import { renderUserData } from '../cloud-init/user-data';
import type { InstanceType } from './catalogue';
import { certificateKey, FILES_PREFIX, REPORT_PREFIX, STATE_PREFIX } from './constructs/artifacts';
import { logGroupPrefix, METRIC_NAMESPACE } from './constructs/monitoring/names';
import { CONSOLE_PORT, consoleLoopbackPort, HTTPS_PORT, openPlainPort, type ResolvedProps } from './props';
import { needsIpv6, waysOut } from './reach';
import { memoryMaxMiB } from './sizing';
import { VERSION } from './version';

export interface BootValues {
  readonly props: ResolvedProps;
  readonly instanceType: InstanceType;
  readonly bundle: { readonly key: string; readonly sha256: string };
  readonly model: { readonly key: string; readonly sha256: string; readonly path: string };
  /** Known only to Terraform: tokens. */
  readonly bucket: string;
  readonly secretArn: string;
  readonly publicAddress: string;
  /** @default no domain */
  readonly hostedZoneId?: string;
}

/**
 * Stand-ins for what only Terraform knows, each as long as the longest value there can be: so the size that
 * renderUserData checks is the largest that can come out.
 */
const BUCKET_STAND_IN = 'bucket'.padEnd(63, '-');
const ADDRESS_STAND_IN = '255.255.255.255';
const ZONE_STAND_IN = 'zone'.padEnd(32, '-');
const SECRET_STAND_IN = 'secret'.padEnd(
  'arn:aws-us-gov:secretsmanager:ap-southeast-1:123456789012:secret:'.length + 64,
  '-',
);

type ConfigValues = Pick<BootValues, 'props' | 'instanceType'> & {
  readonly model: { readonly path: string };
};

/** What the machine fetches beside its user-data. */
export function machineFiles(values: ConfigValues): PackedFiles {
  return packMachineFiles(machineFileProps(values));
}

function machineFileProps(values: ConfigValues): MachineFileProps {
  const { props } = values;
  return {
    externalPort: openPlainPort(props),
    internalPort: props.internalPort,
    certificate:
      props.domain === undefined
        ? undefined
        : {
            domain: props.domain,
            hostedZoneId: ZONE_STAND_IN,
            acmeServer: props.acmeServer,
            email: props.alarmEmails[0] ?? `hostmaster@${props.domain}`,
            key: certificateKey(props.domain),
          },
    consolePort: props.console ? CONSOLE_PORT : undefined,
    memoryMaxMiB: memoryMaxMiB(values.instanceType),
    monitoring: props.monitoring
      ? { namespace: METRIC_NAMESPACE, deployment: props.name, logGroupPrefix: logGroupPrefix(props.name) }
      : undefined,
    waysOut: waysOut(props),
    ipv6: needsIpv6(props),
    config: serviceConfig(values, SECRET_STAND_IN, BUCKET_STAND_IN),
  };
}

/** User-data with Terraform's tokens in it and everything else escaped. */
export function bootText(values: BootValues): string {
  const { props, bundle, model } = values;
  const text = renderUserData({
    region: props.region,
    bucket: BUCKET_STAND_IN,
    bundleKey: bundle.key,
    bundleSha256: bundle.sha256,
    modelKey: model.key,
    modelSha256: model.sha256,
    modelFile: modelFileName(model.path),
    filesPrefix: FILES_PREFIX,
    reportPrefix: REPORT_PREFIX,
    publicAddress: ADDRESS_STAND_IN,
    os: props.os,
    ...machineFileProps(values),
  });
  return escapeForTerraform(text)
    .replaceAll(BUCKET_STAND_IN, () => values.bucket)
    .replaceAll(SECRET_STAND_IN, () => values.secretArn)
    .replaceAll(ADDRESS_STAND_IN, () => values.publicAddress)
    .replaceAll(ZONE_STAND_IN, () => values.hostedZoneId ?? '');
}

/** `/etc/bot/config.yaml`; the runtime's schema (runtime/src/config/schema.ts) is its definition. */
export function serviceConfig(
  { props, instanceType, model }: ConfigValues,
  secretArn: string,
  bucket: string,
): object {
  return {
    service: { name: props.name, version: VERSION },
    network: {
      external_port: props.externalPort,
      tls_port: HTTPS_PORT,
      internal_port: props.internalPort,
      console_port: consoleLoopbackPort(props),
      console_proxied: props.console,
    },
    security: { api_key_secret_id: secretArn, region: props.region },
    model_path: `/opt/bot/models/${modelFileName(model.path)}`,
    max_tokens: props.maxTokens,
    temperature: props.temperature,
    engine: {
      context_size: props.contextSize,
      // Left open, it is chosen anew for a larger model, which a number from today would hold to it: see sizing.ts.
      ...(props.sequences === undefined ? {} : { sequences: props.sequences }),
      threads: instanceType.vcpus,
    },
    state_copy: { bucket, prefix: STATE_PREFIX, region: props.region },
    logging: { directory: '/var/log/bot', ...(props.monitoring ? { cloudwatch_metrics: true } : {}) },
  };
}

/** Clients see it as the model's id, so it stays readable; it also has to be safe in a shell. */
function modelFileName(path: string): string {
  const stem = basename(path)
    .replace(/\.gguf$/i, '')
    .replace(/[^A-Za-z0-9_.-]+/g, '-')
    .replace(/^[^A-Za-z0-9]+/, '');
  return `${stem === '' ? 'model' : stem}.gguf`;
}

/** In Terraform's JSON, `${` and `%{` begin a template in every string. */
export function escapeForTerraform(text: string): string {
  // `$&` is what was found; `$${` as a replacement would come out as `${`.
  return text.replaceAll('${', '$$$&').replaceAll('%{', '%$&');
}
