import { AwsProvider } from '@cdktf/provider-aws/lib/provider';
import { TerraformOutput, TerraformStack } from 'cdktf';
import type { Construct } from 'constructs';

import { findInstanceType } from './catalogue';
import { Alerts } from './constructs/alerts';
import { ApiKey } from './constructs/api-key';
import {
  Artifacts,
  certificateKey,
  type LocalFile,
  REPORT_PREFIX,
  TOKEN_REGISTER_KEY,
} from './constructs/artifacts';
import { Backups } from './constructs/backups';
import { Domain } from './constructs/domain';
import { Firewall } from './constructs/firewall';
import { Identity } from './constructs/identity';
import { KeyRotation } from './constructs/key-rotation';
import { Alarms } from './constructs/monitoring/alarms';
import { Dashboard } from './constructs/monitoring/dashboard';
import { Logs } from './constructs/monitoring/logs';
import { Network } from './constructs/network';
import { protect } from './constructs/protect';
import { type GateProgram, Readiness } from './constructs/readiness';
import { Server } from './constructs/server';
import { packFunction } from './function-code';
import { bootText, machineFiles } from './machine-config';
import { describeOutputs } from './outputs';
import { IMAGES } from './operating-systems';
import { consoleLoopbackPort, openPlainPort, type ResolvedProps } from './props';
import { needsIpv6, openings, waysOut } from './reach';

export interface BotStackProps {
  readonly props: ResolvedProps;
  readonly bundle: LocalFile;
  readonly model: LocalFile;
  readonly gate: GateProgram;
  /** Where the gate writes the endpoint's certificate on the deploying machine; absolute. */
  readonly certificateFile: string;
}

/** Terraform knows ephemeral values and write-only arguments since then. */
export const TERRAFORM_VERSION = '>= 1.11.0';

/** Everything that exists in AWS, and the outputs that tell how to use it. */
export class BotStack extends TerraformStack {
  constructor(scope: Construct, id: string, { props, bundle, model, gate, certificateFile }: BotStackProps) {
    super(scope, id);
    const { name, region } = props;
    const instanceType = findInstanceType(props.instanceType);
    if (instanceType === undefined) {
      throw new Error(`instanceType ${props.instanceType} is not in the catalogue: resolveProps checks that`);
    }

    this.addOverride('terraform.required_version', TERRAFORM_VERSION);
    new AwsProvider(this, 'aws', {
      region,
      defaultTags: [{ tags: { ...props.tags, 'botstack:name': name } }],
    });

    const network = new Network(this, 'network', {
      name,
      region,
      cidr: props.vpcCidr,
      ipv6: needsIpv6(props),
      instanceType: instanceType.name,
      availabilityZone: props.availabilityZone,
    });
    const firewall = new Firewall(this, 'firewall', {
      name,
      vpcId: network.vpcId,
      openings: openings(props),
      waysOut: waysOut(props),
      ipv6: needsIpv6(props),
    });
    const artifacts = new Artifacts(this, 'artifacts', {
      name,
      bundle,
      model,
      machineFiles: machineFiles({ props, instanceType, model }),
      functions:
        props.keyRotationDays > 0
          ? { 'rotate-key': packFunction('rotate-key'), remind: packFunction('remind') }
          : undefined,
    });
    const alerts = new Alerts(this, 'alerts', { name, emails: props.alarmEmails });
    const apiKey = new ApiKey(this, 'api-key', { name });
    const logs = props.monitoring
      ? new Logs(this, 'logs', { name, retentionDays: props.logRetentionDays })
      : undefined;
    const domain =
      props.domain === undefined
        ? undefined
        : new Domain(this, 'domain', { domain: props.domain, hostedZone: hostedZone(props), region });
    const identity = new Identity(this, 'identity', {
      name,
      secretArn: apiKey.secretArn,
      readableArns: [artifacts.bundle.arn, artifacts.model.arn, artifacts.machineFiles.arn],
      reportArns: `${artifacts.bucketArn}/${REPORT_PREFIX}*`,
      logGroupArns: logs?.arns,
      keptArns: [
        ...artifacts.stateArns,
        ...(props.domain === undefined ? [] : [`${artifacts.bucketArn}/${certificateKey(props.domain)}`]),
      ],
      statements: domain?.statements,
    });
    const server = new Server(this, 'server', {
      name,
      instanceType,
      image: IMAGES[props.os],
      amiId: props.amiId,
      snapshotId: props.restoreFromSnapshot,
      diskGiB: props.diskGiB,
      protect: props.protect,
      subnetId: network.subnetId,
      availabilityZone: network.availabilityZone,
      zones: network.zones,
      securityGroupId: firewall.securityGroupId,
      instanceProfileName: identity.instanceProfileName,
      userData: (publicAddress) =>
        bootText({
          props,
          instanceType,
          bundle: artifacts.bundle,
          model: { ...artifacts.model, path: model.path },
          bucket: artifacts.bucketName,
          secretArn: apiKey.secretArn,
          publicAddress,
          hostedZoneId: domain?.hostedZoneId,
        }),
      // The machine reads all of these in its first minute.
      dependsOn: [network, firewall, ...artifacts.neededByMachine, apiKey, identity],
    });
    domain?.pointTo(server.publicAddress);
    if (props.backup !== undefined) new Backups(this, 'backups', { name, ...props.backup });
    const readiness = new Readiness(this, 'readiness', {
      region,
      bucketName: artifacts.bucketName,
      reportPrefix: REPORT_PREFIX,
      secretArn: apiKey.secretArn,
      instanceId: server.instanceId,
      userDataHash: server.userDataHash,
      publicAddress: server.publicAddress,
      addressAllocationId: server.addressAllocationId,
      externalPort: openPlainPort(props),
      certificateFile,
      gate,
    });

    if (needsIpv6(props)) domain?.pointToIpv6(server.ipv6Address, readiness.answered);

    const dashboardName = logs && this.watch(props, alerts, server.instanceId, readiness);
    if (props.keyRotationDays > 0) {
      new KeyRotation(this, 'key-rotation', {
        name,
        secretArn: apiKey.secretArn,
        firstValue: apiKey.firstValue,
        everyDays: props.keyRotationDays,
        bucketName: artifacts.bucketName,
        register: { key: TOKEN_REGISTER_KEY, arn: `${artifacts.bucketArn}/${TOKEN_REGISTER_KEY}` },
        rotateCode: artifacts.function('rotate-key'),
        remindCode: artifacts.function('remind'),
        topicArn: alerts.topicArn,
        logRetentionDays: props.logRetentionDays,
      });
    }

    const outputs = describeOutputs({
      region,
      address: server.publicAddress,
      ipv6Address: needsIpv6(props) ? server.ipv6Address : undefined,
      domain: props.domain,
      externalPort: openPlainPort(props),
      instanceId: server.instanceId,
      secretName: apiKey.secretName,
      bucket: artifacts.bucketName,
      certificateFile,
      consoleLoopbackPort: consoleLoopbackPort(props),
      dashboardName,
    });
    if (props.protect) protect(this, [server.address, apiKey.secret, artifacts.bucket]);

    for (const [output, { value, description }] of Object.entries(outputs)) {
      new TerraformOutput(this, output, { value, description, staticId: true });
    }
  }

  /** @returns the dashboard's name */
  private watch(
    { name, region }: ResolvedProps,
    { topicArn }: Alerts,
    instanceId: string,
    readiness: Readiness,
  ): string {
    new Alarms(this, 'alarms', { name, region, instanceId, topicArn, dependsOn: [readiness.answered] });
    return new Dashboard(this, 'dashboard', { name, region, instanceId }).dashboardName;
  }
}

/** `example.com` for `chat.example.com`, unless another one is named. */
function hostedZone({ domain = '', hostedZone: named }: ResolvedProps): string {
  return named ?? domain.replace(/^[^.]+\./, '');
}
