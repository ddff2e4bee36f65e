import { cidrContains, cidrsOverlap, isIpv6 } from '../cidr';
import { OPERATING_SYSTEMS } from '../../cloud-init/operating-systems';
import type { ResolvedProps } from '../props';
import { CONSOLE_PORT, HTTPS_PORT, MY_ADDRESS } from './constants';
import { shown } from './kinds';

/** Props that are right one by one and wrong together. */
export function contradictions(props: ResolvedProps): string[] {
  return [
    ...portProblems(props),
    ...consoleProblems(props),
    ...contextProblems(props),
    ...placeProblems(props),
    ...domainProblems(props),
    ...monitoringProblems(props),
    ...tagProblems(props),
    ...ruleProblems(props),
    ...restoreProblems(props),
  ];
}

/** Ports that something else on the machine has, and what that is. */
const TAKEN_PORTS: Readonly<Record<number, string>> = {
  22: 'left to SSH, which stays closed',
  [HTTPS_PORT]: 'the encrypted endpoint',
  [CONSOLE_PORT]: 'the web console',
  [CONSOLE_PORT + 1]: 'the web console, behind nginx',
};

function portProblems({ externalPort, internalPort }: ResolvedProps): string[] {
  const problems: string[] = [];
  for (const [prop, value] of Object.entries({ externalPort, internalPort })) {
    const owner = TAKEN_PORTS[value];
    if (owner !== undefined) {
      problems.push(`${prop} should be another port than ${value}: that one is ${owner}`);
    }
  }
  if (externalPort === internalPort) {
    problems.push(
      `externalPort and internalPort should differ, got ${externalPort} for both: nginx listens on one and the service on the other`,
    );
  }
  return problems;
}

function consoleProblems({ console: open, adminCidrs }: ResolvedProps): string[] {
  if (open && adminCidrs.length === 0) {
    return ['adminCidrs should name who may reach the console when console is true, got []'];
  }
  if (!open && adminCidrs.length > 0) {
    return ['console should be true when adminCidrs is given: without it port 8080 stays closed to everyone'];
  }
  return [];
}

function contextProblems({ maxTokens, contextSize }: ResolvedProps): string[] {
  return maxTokens > contextSize
    ? [`maxTokens should be at most contextSize, ${contextSize}, got ${maxTokens}`]
    : [];
}

function restoreProblems({ restoreFromSnapshot, amiId }: ResolvedProps): string[] {
  return restoreFromSnapshot !== undefined && amiId !== undefined
    ? ['restoreFromSnapshot and amiId should not both be given: each says what the disk is made of']
    : [];
}

const PRIVATE_RANGES = ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', '100.64.0.0/10'];

function placeProblems(props: ResolvedProps): string[] {
  const { region, availabilityZone, vpcCidr } = props;
  const problems: string[] = [];
  if (availabilityZone !== undefined && availabilityZone.slice(0, -1) !== region) {
    problems.push(`availabilityZone should be a zone of region ${region}, got '${availabilityZone}'`);
  }
  if (!PRIVATE_RANGES.some((range) => cidrContains(range, vpcCidr))) {
    problems.push(`vpcCidr should lie in a private range (${PRIVATE_RANGES.join(', ')}), got '${vpcCidr}'`);
  }
  for (const [prop, whose] of [
    ['allowedCidrs', 'users'],
    ['adminCidrs', 'administrators'],
  ] as const) {
    for (const range of props[prop].filter((candidate) => overlapsNetwork(candidate, vpcCidr))) {
      problems.push(
        `${prop} should be public ranges of your ${whose}, got '${range}', which overlaps the machine's own network ${vpcCidr}`,
      );
    }
  }
  return problems;
}

function overlapsNetwork(range: string, vpcCidr: string): boolean {
  return range !== MY_ADDRESS && range !== '0.0.0.0/0' && !isIpv6(range) && cidrsOverlap(range, vpcCidr);
}

function domainProblems({ domain, hostedZone, os }: ResolvedProps): string[] {
  if (domain === undefined) {
    return hostedZone === undefined
      ? []
      : ['domain should be given when hostedZone is: it lies in that zone'];
  }
  const problems: string[] = [];
  if (OPERATING_SYSTEMS[os].acmePackage === undefined) {
    problems.push(
      `os should be one whose distribution has lego, which asks for the certificate of domain, such as debian-12, got '${os}'`,
    );
  }
  const isName = hostedZone?.includes('.') === true;
  if (isName && domain !== hostedZone && !domain.endsWith(`.${hostedZone}`)) {
    problems.push(`hostedZone should be the zone that domain lies in, ${domain}, got '${hostedZone}'`);
  }
  return problems;
}

function monitoringProblems({ monitoring, keyRotationDays, alarmEmails }: ResolvedProps): string[] {
  return !monitoring && keyRotationDays === 0 && alarmEmails.length > 0
    ? ['alarmEmails should be empty when monitoring is false and keyRotationDays 0: there is nothing to tell']
    : [];
}

/** Of an S3 object, which has the fewest of all resources; the stack adds one of its own. */
const MOST_TAGS = 9;
/** What every service of AWS takes: https://docs.aws.amazon.com/tag-editor/latest/userguide/tagging.html */
const TAG_TEXT = /^[\p{L}\p{N} _.:/=+@-]*$/u;

/** AWS keeps the prefix for itself, and the stack its own names. */
function tagProblems({ tags }: ResolvedProps): string[] {
  const problems: string[] = [];
  const count = Object.keys(tags).length;
  if (count > MOST_TAGS) problems.push(`tags should be at most ${MOST_TAGS}, which S3 allows, got ${count}`);
  for (const [key, value] of Object.entries(tags)) {
    if (key === 'Name' || key.length > 128 || key === '' || /^(aws:|botstack:)/i.test(key)) {
      problems.push(
        `tags should not have the key ${shown(key)}: Name, aws: and botstack: are taken, and 1 to 128 characters are allowed`,
      );
    } else if (!TAG_TEXT.test(key) || !TAG_TEXT.test(value)) {
      problems.push(
        `tags should hold letters, digits, blanks and _ . : / = + - @ only, got ${shown(`${key}=${value}`)}`,
      );
    }
  }
  return problems;
}

/** https://docs.aws.amazon.com/vpc/latest/userguide/amazon-vpc-limits.html: for IPv4 and for IPv6 each. */
const RULES_OF_A_GROUP = 60;

function ruleProblems({ allowedCidrs, adminCidrs, plainPort, console: open }: ResolvedProps): string[] {
  return ['IPv4', 'IPv6'].flatMap((family) => {
    const ofFamily = (ranges: readonly string[]): number =>
      ranges.filter((range) => isIpv6(range) === (family === 'IPv6')).length;
    const rules = ofFamily(allowedCidrs) * (plainPort ? 2 : 1) + (open ? ofFamily(adminCidrs) : 0);
    return rules <= RULES_OF_A_GROUP
      ? []
      : [
          `allowedCidrs should be fewer: they and adminCidrs make ${rules} ${family} rules, one for each port, and a security group holds ${RULES_OF_A_GROUP}; join ranges${plainPort ? ', or set plainPort to false' : ''}`,
        ];
  });
}
