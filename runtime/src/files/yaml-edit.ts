/** Changes values within a YAML text and leaves the rest of it, comments and layout too, as a person wrote it. */
import { isDeepStrictEqual } from 'node:util';

import type { Document, Node, YAMLMap } from 'yaml';

/** Loaded only where a text is changed: it takes four times js-yaml's time and memory. */
type Yaml = typeof import('yaml');

export interface YamlEdit {
  /** What the text means now, and what it shall mean. */
  readonly was: unknown;
  readonly wanted: unknown;
  /** Whether a text means what is wanted. Throws, or says false, where it does not. */
  readonly means: (text: string) => boolean;
}

/**
 * Single values are replaced where they stand. Where the text's form does not allow that (a value over several lines, a
 * list that gets shorter), it is written anew, with its comments, order and quotes, but not its spaces.
 *
 * @returns undefined where no change means what is wanted, as with a value that others refer to
 */
export async function editYaml(text: string, edit: YamlEdit): Promise<string | undefined> {
  const yaml = await import('yaml');
  // The parser's positions count from behind a byte order mark.
  const mark = text.startsWith('\uFEFF') ? '\uFEFF' : '';
  const body = text.slice(mark.length);
  for (const attempt of [inPlace, anew]) {
    const edited = attempt(yaml, body, edit);
    if (edited !== undefined && isMeant(edited, edit)) return mark + edited;
  }
  return undefined;
}

function isMeant(text: string, { means }: YamlEdit): boolean {
  try {
    return means(text);
  } catch {
    return false;
  }
}

interface Change {
  readonly path: readonly (string | number)[];
  readonly value: string | number | boolean;
}

/** Each value by itself, as the positions of those behind it move. */
function inPlace(yaml: Yaml, text: string, { was, wanted }: YamlEdit): string | undefined {
  const changes = scalarChanges(was, wanted);
  return changes?.reduce<string | undefined>((before, { path, value }) => {
    if (before === undefined) return undefined;
    const map = mapAt(yaml, yaml.parseDocument(before), path.slice(0, -1));
    const key = String(path.at(-1));
    const old = map?.get(key, true);
    if (map === undefined) return undefined;
    if (old === undefined) {
      const neighbours = changes.filter((other) =>
        isDeepStrictEqual(other.path.slice(0, -1), path.slice(0, -1)),
      );
      return inserted(yaml, before, placeFor(yaml, map, neighbours), [key, value]);
    }
    if (yaml.isCollection(old) || !old.range) return undefined;
    const next = scalar(yaml, value, yaml.isScalar(old) ? old.type : undefined);
    return before.slice(0, old.range[0]) + next + before.slice(old.range[1]);
  }, text);
}

/** Undefined where more than single values of mappings changes. */
function scalarChanges(was: unknown, wanted: unknown, path: Change['path'] = []): Change[] | undefined {
  if (isDeepStrictEqual(was, wanted)) return [];
  if (typeof wanted === 'string' || typeof wanted === 'number' || typeof wanted === 'boolean')
    return [{ path, value: wanted }];
  const steps = isMapping(was) && isMapping(wanted) ? keysOfBoth(was, wanted) : samePlaces(was, wanted);
  if (steps === undefined) return undefined;
  const changes: Change[] = [];
  for (const step of steps) {
    const place = (whole: unknown) => (whole as Record<string | number, unknown>)[step];
    const inner = scalarChanges(place(was), place(wanted), [...path, step]);
    if (inner === undefined) return undefined;
    changes.push(...inner);
  }
  return changes;
}

/** The places of two lists of which each item is the same one, changed or not. */
function samePlaces(was: unknown, wanted: unknown): number[] | undefined {
  if (!Array.isArray(was) || !Array.isArray(wanted) || was.length !== wanted.length) return undefined;
  const places = placesBefore(was, wanted);
  return places.every((before, place) => before === place) ? [...places.keys()] : undefined;
}

/** Behind the first key that changes with it, else behind the last one, of those with a value on its line. */
function placeFor(yaml: Yaml, map: YAMLMap.Parsed, neighbours: readonly Change[]): Place | undefined {
  const names = neighbours.map(({ path }) => String(path.at(-1)));
  const pairs = map.items.filter(({ value }) => yaml.isScalar(value) && !value.type?.startsWith('BLOCK'));
  const pair =
    pairs.find(({ key }) => yaml.isScalar(key) && names.includes(String(key.value))) ?? pairs.at(-1);
  const end = pair?.value?.range[1];
  return pair === undefined || end === undefined
    ? undefined
    : { from: pair.key.range[0], end, isFlow: map.flow === true };
}

/** Of a key and its value, in the text. */
interface Place {
  readonly from: number;
  readonly end: number;
  readonly isFlow: boolean;
}

function inserted(
  yaml: Yaml,
  text: string,
  place: Place | undefined,
  [key, value]: readonly [string, Change['value']],
): string | undefined {
  if (place === undefined) return undefined;
  const { from, end, isFlow } = place;
  if (isFlow) return `${text.slice(0, end)}, ${key}: ${JSON.stringify(value)}${text.slice(end)}`;
  const indent = ' '.repeat(from - (text.lastIndexOf('\n', from - 1) + 1));
  const lineEnd = text.slice(end).search(/\r?\n/);
  const at = lineEnd === -1 ? text.length : end + lineEnd;
  return `${text.slice(0, at)}${newLine(text)}${indent}${key}: ${scalar(yaml, value)}${text.slice(at)}`;
}

function anew(yaml: Yaml, text: string, { was, wanted }: YamlEdit): string | undefined {
  const document = yaml.parseDocument(text);
  document.contents = renewed(yaml, document, document.contents, was, wanted) as typeof document.contents;
  try {
    return document.toString({ ...indentsOf(text), lineWidth: 0 }).replaceAll(/\r?\n/g, newLine(text));
  } catch {
    // What refers to the old value refers to nothing now.
    return undefined;
  }
}

/** `node`, which means what was, as a node that means what is wanted. */
function renewed(yaml: Yaml, document: Document, node: unknown, was: unknown, wanted: unknown): Node {
  if (yaml.isMap(node) && isMapping(was) && isMapping(wanted)) {
    for (const key of keysOfBoth(was, wanted)) {
      // What is there by default need not stand there.
      if (isDeepStrictEqual(was[key], wanted[key])) continue;
      if (wanted[key] === undefined) node.delete(key);
      else node.set(key, renewed(yaml, document, node.get(key, true), was[key], wanted[key]));
    }
    return node;
  }
  if (yaml.isSeq(node) && Array.isArray(was) && Array.isArray(wanted)) {
    const items = [...node.items];
    const places = placesBefore(was, wanted);
    node.items = wanted.map((value: unknown, place) => {
      const before = places[place];
      if (before === undefined) return document.createNode(value);
      return isDeepStrictEqual(was[before], value)
        ? items[before]
        : renewed(yaml, document, items[before], was[before], value);
    });
    return node;
  }
  // A new node: the old one keeps the form of its value, over several lines.
  const made = document.createNode(wanted);
  if (yaml.isScalar(node)) made.comment = node.comment;
  return made;
}

/**
 * Where each item of a list was before: the same item, else one with the same `name`, else the one at the same place.
 * Undefined: it is new.
 */
function placesBefore(was: readonly unknown[], wanted: readonly unknown[]): (number | undefined)[] {
  const places = new Array<number | undefined>(wanted.length).fill(undefined);
  const left = new Set(was.keys());
  const match = (keyOf: (item: unknown, place: number) => string | undefined) => {
    const found = new Map<string, number[]>();
    for (const place of left) {
      const key = keyOf(was[place], place);
      if (key === undefined) continue;
      const others = found.get(key);
      if (others === undefined) found.set(key, [place]);
      else others.push(place);
    }
    wanted.forEach((item, place) => {
      if (places[place] !== undefined) return;
      const before = found.get(keyOf(item, place) ?? '')?.shift();
      if (before === undefined) return;
      places[place] = before;
      left.delete(before);
    });
  };
  match((item) => JSON.stringify(item));
  match((item) => (isMapping(item) && typeof item['name'] === 'string' ? `name ${item['name']}` : undefined));
  match((item, place) => (isMapping(item) ? `place ${place}` : undefined));
  return places;
}

function keysOfBoth(one: object, other: object): string[] {
  return [...new Set([...Object.keys(one), ...Object.keys(other)])];
}

function isMapping(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function indentsOf(text: string): { readonly indent: number; readonly indentSeq: boolean } {
  const [, first = '  '] = /^( +)[^\s#]/m.exec(text) ?? [];
  return { indent: first.length, indentSeq: !/^( *)[^\s#-].*:[ \t]*(#.*)?\r?\n\1- /m.test(text) };
}

/** As in the rest of the file. */
function newLine(text: string): string {
  return text.includes('\r\n') ? '\r\n' : '\n';
}

function mapAt(yaml: Yaml, document: Document.Parsed, path: Change['path']): YAMLMap.Parsed | undefined {
  const node: unknown = path.length === 0 ? document.contents : document.getIn(path, true);
  return yaml.isMap(node) ? (node as YAMLMap.Parsed) : undefined;
}

/** In the quotes that the one before had. */
function scalar(yaml: Yaml, value: Change['value'], type?: string): string {
  const quoted = type === 'QUOTE_SINGLE' || type === 'QUOTE_DOUBLE';
  return yaml.stringify(value, { defaultStringType: quoted ? type : 'PLAIN', lineWidth: 0 }).trimEnd();
}
