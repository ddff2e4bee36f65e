import { AwsProvider } from '@cdktf/provider-aws/lib/provider';
import { TerraformOutput, TerraformStack } from 'cdktf';
import type { Construct } from 'constructs';

import { findInstanceType } from './catalogue';
import { ApiKey } from './constructs/api-key';
import { Artifacts, type LocalFile, REPORT_PREFIX } from './constructs/artifacts';
import { Firewall, type Opening } from './constructs/firewall';
import { Identity } from './constructs/identity';
import { Network } from './constructs/network';
import { protect } from './constructs/protect';
import { type GateProgram, Readiness } from './constructs/readiness';
import { Server } from './constructs/server';
import { bootText, machineFiles } from './machine-config';
import { describeOutputs } from './outputs';
import { CONSOLE_PORT, consoleLoopbackPort, HTTPS_PORT, type ResolvedProps } from './props';

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
      instanceType: instanceType.name,
      availabilityZone: props.availabilityZone,
    });
    const firewall = new Firewall(this, 'firewall', {
      name,
      vpcId: network.vpcId,
      openings: openings(props),
    });
    const artifacts = new Artifacts(this, 'artifacts', {
      name,
      bundle,
      model,
      machineFiles: machineFiles({ props, instanceType, model }),
    });
    const apiKey = new ApiKey(this, 'api-key', { name });
    const identity = new Identity(this, 'identity', {
      name,
      secretArn: apiKey.secretArn,
      readableArns: [artifacts.bundle.arn, artifacts.model.arn, artifacts.machineFiles.arn],
      reportArns: `${artifacts.bucketArn}/${REPORT_PREFIX}*`,
    });
    const server = new Server(this, 'server', {
      name,
      instanceType,
      amiId: props.amiId,
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
        }),
      // The machine reads all of these in its first minute.
      dependsOn: [network, firewall, artifacts, apiKey, identity],
    });
    new Readiness(this, 'readiness', {
      region,
      bucketName: artifacts.bucketName,
      reportPrefix: REPORT_PREFIX,
      secretArn: apiKey.secretArn,
      instanceId: server.instanceId,
      userDataHash: server.userDataHash,
      publicAddress: server.publicAddress,
      addressAllocationId: server.addressAllocationId,
      externalPort: props.externalPort,
      certificateFile,
      gate,
    });

    const outputs = describeOutputs({
      region,
      address: server.publicAddress,
      externalPort: props.externalPort,
      instanceId: server.instanceId,
      secretName: apiKey.secretName,
      bucket: artifacts.bucketName,
      certificateFile,
      consoleLoopbackPort: consoleLoopbackPort(props),
    });
    if (props.protect) protect(this, [server.address, apiKey.secret, artifacts.bucket]);

    for (const [output, { value, description }] of Object.entries(outputs)) {
      new TerraformOutput(this, output, { value, description, staticId: true });
    }
  }
}

function openings({
  externalPort,
  allowedCidrs,
  console: consoleOpen,
  adminCidrs,
}: ResolvedProps): Opening[] {
  return [
    { name: 'https', port: HTTPS_PORT, cidrs: allowedCidrs },
    { name: 'plain', port: externalPort, cidrs: allowedCidrs },
    ...(consoleOpen ? [{ name: 'console', port: CONSOLE_PORT, cidrs: adminCidrs }] : []),
  ];
}
