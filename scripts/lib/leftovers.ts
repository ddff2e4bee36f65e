/** What is in the account under a deployment's tag, by the Resource Groups Tagging API. */
import { DescribeInstancesCommand, type EC2Client } from '@aws-sdk/client-ec2';
import {
  GetResourcesCommand,
  type ResourceGroupsTaggingAPIClient,
  type ResourceTagMapping,
} from '@aws-sdk/client-resource-groups-tagging-api';

export interface Leftover {
  readonly arn: string;
  /** Of the deployment. */
  readonly name: string;
}

/** The tag that the stack's provider puts on every resource. */
export const TAG = 'botstack:name';

/**
 * A terminated instance is not among them: AWS lists it for up to an hour, and it costs nothing.
 *
 * @param name of one deployment. @default every one in the region
 */
export async function findLeftovers(
  client: ResourceGroupsTaggingAPIClient,
  ec2: EC2Client,
  name?: string,
): Promise<Leftover[]> {
  const found: Leftover[] = [];
  let token: string | undefined;
  do {
    const page = await client.send(
      new GetResourcesCommand({
        TagFilters: [{ Key: TAG, Values: name === undefined ? undefined : [name] }],
        PaginationToken: token,
      }),
    );
    found.push(...(page.ResourceTagMappingList ?? []).flatMap(leftover));
    token = page.PaginationToken;
  } while (token);
  const gone = await terminated(ec2, found);
  return found
    .filter(({ arn }) => !gone.has(instanceId(arn) ?? ''))
    .sort((a, b) => a.name.localeCompare(b.name) || rank(a) - rank(b) || a.arn.localeCompare(b.arn));
}

function instanceId(arn: string): string | undefined {
  return /:instance\/(i-[0-9a-f]+)$/.exec(arn)?.[1];
}

async function terminated(ec2: EC2Client, found: readonly Leftover[]): Promise<Set<string>> {
  const ids = found.map(({ arn }) => instanceId(arn)).filter((id) => id !== undefined);
  if (ids.length === 0) return new Set();
  // As a filter, for an id that EC2 has forgotten would be an error as an argument; it then counts as gone, too.
  const standing = new Set<string>();
  let token: string | undefined;
  do {
    const page = await ec2.send(
      new DescribeInstancesCommand({ Filters: [{ Name: 'instance-id', Values: ids }], NextToken: token }),
    );
    for (const { InstanceId: id, State: state } of (page.Reservations ?? []).flatMap(
      (each) => each.Instances ?? [],
    )) {
      if (id !== undefined && state?.Name !== 'terminated') standing.add(id);
    }
    token = page.NextToken;
  } while (token);
  return new Set(ids.filter((id) => !standing.has(id)));
}

function leftover({ ResourceARN: arn, Tags: tags = [] }: ResourceTagMapping): Leftover[] {
  const name = tags.find(({ Key }) => Key === TAG)?.Value;
  return arn === undefined || name === undefined ? [] : [{ arn, name }];
}

/**
 * What a kind of resource goes on costing, for the kinds that do, the dearest first. By the part of the ARN that names the
 * kind.
 */
const BILLED: readonly (readonly [RegExp, string])[] = [
  [/:ec2:.*:instance\//, 'billed by the second while it runs'],
  [/:ec2:.*:volume\//, 'billed by the GiB'],
  [/:ec2:.*:snapshot\//, 'billed by the GB, 0.05 USD a month'],
  [/:ec2:.*:elastic-ip\//, 'billed by the hour, 3.65 USD a month'],
  [/:secretsmanager:/, 'billed, 0.40 USD a month'],
  [/:s3:::/, 'billed by the GB'],
  [/:logs:/, 'billed by the GB'],
  [/:cloudwatch:/, 'billed where there are more than the free ones'],
  [/:kms:/, 'billed, 1 USD a month'],
];

/** What costs most comes first in the list. */
function rank({ arn }: Leftover): number {
  const at = BILLED.findIndex(([pattern]) => pattern.test(arn));
  return at < 0 ? BILLED.length : at;
}

export function describeLeftover({ arn }: Leftover): string {
  const billed = BILLED.find(([pattern]) => pattern.test(arn))?.[1];
  return billed === undefined ? arn : `${arn}  (${billed})`;
}
