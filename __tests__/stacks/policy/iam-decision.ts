/**
 * Decides a request as IAM does within one account, for what this project's policies are written in. Whatever it does
 * not know it refuses to judge, by an error.
 * https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
 */

export type Decision = 'Allowed' | 'ImplicitlyDenied' | 'ExplicitlyDenied';

/** Values of condition keys, such as `aws:SecureTransport`. */
export type Context = Readonly<Record<string, string | readonly string[]>>;

export interface AccessRequest {
  readonly action: string;
  /** ARN, or `*` where the action knows no resource. */
  readonly resource: string;
  /** @default nothing is known of the request */
  readonly context?: Context;
}

type OneOrMore = string | readonly string[];

interface Statement {
  readonly Sid?: string;
  readonly Effect: 'Allow' | 'Deny';
  readonly Action: OneOrMore;
  readonly Resource: OneOrMore;
  /** In policies of a resource alone; here everybody. */
  readonly Principal?: '*' | { readonly AWS: '*' };
  readonly Condition?: Readonly<Record<string, Readonly<Record<string, OneOrMore>>>>;
}

/** A policy as it is sent to AWS, parsed. */
export interface Policy {
  readonly Statement: Statement | readonly Statement[];
}

const KNOWN = new Set(['Sid', 'Effect', 'Action', 'Resource', 'Principal', 'Condition']);

/**
 * @param policies those of the role and of the resource: in one account a word of either is enough, and a "no" of either
 * @throws Error on what it does not know: an element, an operator, a principal, a policy variable
 */
export function decide(request: AccessRequest, policies: readonly Policy[]): Decision {
  const statements = policies.flatMap(({ Statement: found }) => found);
  const effects = new Set(
    statements.filter((statement) => applies(statement, request)).map((statement) => statement.Effect),
  );
  if (effects.has('Deny')) return 'ExplicitlyDenied';
  return effects.has('Allow') ? 'Allowed' : 'ImplicitlyDenied';
}

function applies(statement: Statement, { action, resource, context = {} }: AccessRequest): boolean {
  check(statement);
  return (
    list(statement.Action).some((pattern) => glob(pattern.toLowerCase(), action.toLowerCase())) &&
    list(statement.Resource).some((pattern) => isResource(pattern, resource)) &&
    Object.entries(statement.Condition ?? {}).every(([operator, keys]) =>
      Object.entries(keys).every(([key, allowed]) => holds(operator, context[key], list(allowed))),
    )
  );
}

function check(statement: Statement): void {
  const unknown = Object.keys(statement).find((element) => !KNOWN.has(element));
  if (unknown !== undefined) throw new Error(`cannot judge ${unknown}`);
  if (!['Allow', 'Deny'].includes(statement.Effect)) throw new Error(`Effect ${statement.Effect} is none`);
  if (!['"*"', '{"AWS":"*"}', undefined].includes(JSON.stringify(statement.Principal))) {
    throw new Error(`cannot judge Principal ${JSON.stringify(statement.Principal)}`);
  }
  if (JSON.stringify(statement).includes('${')) throw new Error('cannot judge a policy variable');
}

/** A wildcard stays within its part of an ARN; the last part, the resource's own name, may have colons in it. */
function isResource(pattern: string, resource: string): boolean {
  if (pattern === '*') return true;
  const [patterns, parts] = [arnParts(pattern), arnParts(resource)];
  return (
    patterns.length === parts.length && patterns.every((wanted, index) => glob(wanted, parts[index] ?? ''))
  );
}

function arnParts(arn: string): string[] {
  const parts = arn.split(':');
  return [...parts.slice(0, 5), ...(parts.length > 5 ? [parts.slice(5).join(':')] : [])];
}

/** `*` is any text, `?` any one character. */
function glob(pattern: string, text: string): boolean {
  const source = pattern
    .replace(/[.+^${}()|[\]\\]/g, '\\$&')
    .replaceAll('*', '.*')
    .replaceAll('?', '.');
  return new RegExp(`^${source}$`, 's').test(text);
}

function holds(operator: string, value: Context[string] | undefined, allowed: readonly string[]): boolean {
  switch (operator) {
    case 'StringEquals':
      return value !== undefined && allowed.includes(single(value));
    case 'Bool':
      return value !== undefined && allowed.includes(single(value).toLowerCase());
    case 'ForAllValues:StringEquals':
      // Of no values, too, all are.
      return list(value ?? []).every((each) => allowed.includes(each));
    default:
      throw new Error(`cannot judge the condition operator ${operator}`);
  }
}

function single(value: Context[string]): string {
  if (typeof value !== 'string') throw new Error('an operator for one value cannot judge several');
  return value;
}

function list(value: OneOrMore): readonly string[] {
  return typeof value === 'string' ? [value] : value;
}
