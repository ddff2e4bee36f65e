import { EipAssociation } from '@cdktf/provider-aws/lib/eip-association';
import { DataResource, type ITerraformDependable } from 'cdktf';
import { Construct } from 'constructs';

export interface ReadinessProps {
  readonly region: string;
  readonly bucketName: string;
  readonly reportPrefix: string;
  readonly secretArn: string;
  readonly instanceId: string;
  /** A machine that boots differently is a machine to wait for again. */
  readonly userDataHash: string;
  readonly publicAddress: string;
  readonly addressAllocationId: string;
  /** @default none: only the encrypted endpoint is asked */
  readonly externalPort?: number;
  /** Where the endpoint's certificate is written on the deploying machine; absolute. */
  readonly certificateFile: string;
  readonly gate: GateProgram;
}

/** The program of the gate: scripts/wait-ready.ts and what runs it, as absolute paths on the deploying machine. */
export interface GateProgram {
  readonly node: string;
  readonly tsx: string;
  readonly script: string;
}

/**
 * What `cdktf deploy` waits for: first for the machine's own word that it is ready, then for an answer from outside.
 *
 * The address is handed over between the two. So the first boot is not cut off from the network by a change of its
 * address, and a replacement that does not come up never takes the address from the machine that works.
 */
export class Readiness extends Construct {
  /** Done when the endpoint has answered. */
  readonly answered: ITerraformDependable;

  constructor(scope: Construct, id: string, props: ReadinessProps) {
    super(scope, id);

    const booted = this.gate('booted', 'boot', props, []);
    const association = new EipAssociation(this, 'address', {
      instanceId: props.instanceId,
      allocationId: props.addressAllocationId,
      // Taken over from the old machine in one request, not given up first: it answers until then.
      allowReassociation: true,
      lifecycle: { createBeforeDestroy: true },
      dependsOn: [booted],
    });
    this.answered = this.gate('answered', 'answer', props, [association]);
  }

  private gate(
    id: string,
    stage: 'boot' | 'answer',
    props: ReadinessProps,
    dependsOn: ITerraformDependable[],
  ) {
    const { gate } = props;
    const resource = new DataResource(this, id, {
      triggersReplace: { instance: props.instanceId, userData: props.userDataHash },
      dependsOn,
      lifecycle: { createBeforeDestroy: true },
      provisioners: [
        {
          type: 'local-exec',
          // `exec`, so that Ctrl-C reaches the program and not a shell around it.
          command: 'exec "$BOTSTACK_NODE" "$BOTSTACK_TSX" "$BOTSTACK_SCRIPT" --stage "$BOTSTACK_STAGE"',
          // No secret among these: Terraform prints the command, and its children's environment can be read.
          environment: {
            BOTSTACK_NODE: gate.node,
            BOTSTACK_TSX: gate.tsx,
            BOTSTACK_SCRIPT: gate.script,
            BOTSTACK_STAGE: stage,
            BOTSTACK_REGION: props.region,
            BOTSTACK_BUCKET: props.bucketName,
            BOTSTACK_REPORT_KEY: `${props.reportPrefix}${props.instanceId}.json`,
            BOTSTACK_SECRET_ARN: props.secretArn,
            BOTSTACK_INSTANCE_ID: props.instanceId,
            BOTSTACK_ADDRESS: props.publicAddress,
            BOTSTACK_EXTERNAL_PORT: String(props.externalPort ?? ''),
            BOTSTACK_CERTIFICATE_FILE: props.certificateFile,
            // A notice about a year from now in the middle of a deploy helps nobody.
            AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED: 'true',
          },
        },
      ],
    });
    // cdktf has no type for it: do not print the command, which says nothing to anybody.
    resource.addOverride('provisioner.0.local-exec.quiet', true);
    // Terraform puts it before every line that the gate prints.
    resource.overrideLogicalId(id);
    return resource;
  }
}
