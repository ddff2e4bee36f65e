/** Changes single keys of the configuration file and leaves the rest of its text, comments and layout too, as it is. */
import { isDeepStrictEqual } from 'node:util';

import { CORE_SCHEMA, load } from 'js-yaml';
import type { Document, ParsedNode, YAMLMap } from 'yaml';

/** Loaded only here, by commands that change the file: it takes four times js-yaml's time and memory. */
type Yaml = typeof import('yaml');

export interface ConfigEdit {
  /** Where the mapping lies whose keys change: `[]` is the whole file, `['models', 0]` the first of a list. */
  readonly within: readonly (string | number)[];
  /** Keys and their new values. One that is not there yet goes behind the first of them that is. */
  readonly set: Readonly<Record<string, string>>;
}

/**
 * A key's value is replaced where it stands; only where the file's form does not allow that (a value over several
 * lines, a mapping without any of the keys) it is written anew, with its comments, order and quotes, but not its spaces.
 *
 * @throws Error where no change of this place alone means what is wanted, as with a value that others refer to
 */
export async function editConfig(text: string, edit: ConfigEdit): Promise<string> {
  const yaml = await import('yaml');
  // The parser's positions count from behind a byte order mark.
  const mark = text.startsWith('\uFEFF') ? '\uFEFF' : '';
  const body = text.slice(mark.length);
  const wanted = intended(body, edit);
  for (const attempt of [inPlace, anew]) {
    const edited = attempt(yaml, body, edit);
    if (edited !== undefined && means(edited, wanted)) return mark + edited;
  }
  const keys = Object.entries(edit.set).map(([key, value]) => `${key}: ${JSON.stringify(value)}`);
  const place = edit.within.length === 0 ? '' : ` of ${edit.within.join('.')}`;
  throw new Error(
    `the configuration cannot be changed by a program as it is written; set ${keys.join(', ')}${place} by hand`,
  );
}

/** Each value by itself, as the positions of those behind it move. */
function inPlace(yaml: Yaml, text: string, { within, set }: ConfigEdit): string {
  return Object.entries(set).reduce((before, [key, value]) => {
    const map = mapAt(yaml, yaml.parseDocument(before), within);
    const old = map?.get(key, true);
    if (old?.range) {
      const next = scalar(yaml, value, yaml.isScalar(old) ? old.type : undefined);
      return before.slice(0, old.range[0]) + next + before.slice(old.range[1]);
    }
    return map === undefined ? before : inserted(yaml, before, map, Object.keys(set), [key, value]);
  }, text);
}

function inserted(
  yaml: Yaml,
  text: string,
  map: YAMLMap.Parsed,
  neighbours: readonly string[],
  [key, value]: readonly [string, string],
): string {
  const pair = map.items.find(({ key: { value: name } }: { key: ParsedNode & { value?: unknown } }) =>
    neighbours.includes(String(name)),
  );
  const end = pair?.value?.range[1];
  if (pair === undefined || end === undefined) return text;
  if (map.flow === true) return `${text.slice(0, end)}, ${key}: ${JSON.stringify(value)}${text.slice(end)}`;
  const from = pair.key.range[0];
  const indent = ' '.repeat(from - (text.lastIndexOf('\n', from - 1) + 1));
  const lineEnd = text.slice(end).search(/\r?\n/);
  const at = lineEnd === -1 ? text.length : end + lineEnd;
  return `${text.slice(0, at)}${newLine(text)}${indent}${key}: ${scalar(yaml, value)}${text.slice(at)}`;
}

function anew(yaml: Yaml, text: string, { within, set }: ConfigEdit): string | undefined {
  const document = yaml.parseDocument(text);
  for (const [key, value] of Object.entries(set)) {
    // A new node: the old one keeps the form of its value, over several lines.
    const node = document.createNode(value);
    const old = document.getIn([...within, key], true);
    if (yaml.isScalar(old)) node.comment = old.comment;
    document.setIn([...within, key], node);
  }
  try {
    return document.toString({ lineWidth: 0 }).replaceAll(/\r?\n/g, newLine(text));
  } catch {
    // What refers to the old value refers to nothing now.
    return undefined;
  }
}

/** As in the rest of the file. */
function newLine(text: string): string {
  return text.includes('\r\n') ? '\r\n' : '\n';
}

function mapAt(
  yaml: Yaml,
  document: Document.Parsed,
  within: ConfigEdit['within'],
): YAMLMap.Parsed | undefined {
  const node: unknown = within.length === 0 ? document.contents : document.getIn(within, true);
  return yaml.isMap(node) ? (node as YAMLMap.Parsed) : undefined;
}

/** In the quotes that the one before had. */
function scalar(yaml: Yaml, value: string, type?: string): string {
  const quoted = type === 'QUOTE_SINGLE' || type === 'QUOTE_DOUBLE';
  return yaml.stringify(value, { defaultStringType: quoted ? type : 'PLAIN', lineWidth: 0 }).trimEnd();
}

function intended(text: string, { within, set }: ConfigEdit): unknown {
  const whole = read(text);
  const place = within.reduce<unknown>(
    (node, key) => (node as Record<string | number, unknown> | undefined)?.[key],
    whole,
  );
  Object.assign(place as object, set);
  return whole;
}

function means(text: string, wanted: unknown): boolean {
  try {
    return isDeepStrictEqual(read(text), wanted);
  } catch {
    return false;
  }
}

/** As the service reads it, what is referred to more than once as often. */
function read(text: string): unknown {
  return JSON.parse(JSON.stringify(load(text, { schema: CORE_SCHEMA })));
}
