/** What the register of access tokens holds, and how it changes. Pure: no files, no clock of its own. */
import { isDeepStrictEqual } from 'node:util';

import { z } from 'zod';

const seconds = z.int().nonnegative();

const recordSchema = z.strictObject({
  /** The token's `jti`. The token itself is never stored. */
  id: z.string().min(1).max(128),
  user: z.string().max(128),
  scopes: z.array(z.string()),
  issuedAt: seconds,
  expiresAt: seconds,
  revokedAt: seconds.optional(),
  /** Who asked for it: a user of the console, or absent for the command line. */
  issuedBy: z.string().max(128).optional(),
});

export const contentSchema = z.strictObject({
  version: z.literal(1),
  tokens: z.array(recordSchema),
  /** Tokens of these users that stand in no register are void if issued at or before `before`. */
  cutoffs: z.array(z.strictObject({ user: z.string(), before: seconds })),
});

/** One access token. Times are Unix seconds. */
export type TokenRecord = Readonly<z.infer<typeof recordSchema>>;
export type RegisterContent = Readonly<z.infer<typeof contentSchema>>;

export const EMPTY: RegisterContent = { version: 1, tokens: [], cutoffs: [] };

/** No token lives longer. */
export const MAX_EXPIRY_SECONDS = 90 * 24 * 3600;
/** How long a token that has ended is still listed. */
const KEEP_ENDED_SECONDS = 7 * 24 * 3600;

export function withToken(content: RegisterContent, record: TokenRecord): RegisterContent {
  return { ...content, tokens: [...content.tokens, record] };
}

/** Revokes one token, also one that was signed elsewhere and is not in the register. */
export function withRevoked(content: RegisterContent, id: string, now: number): RegisterContent {
  const known = content.tokens.find((token) => token.id === id);
  if (known?.revokedAt !== undefined) return content;
  if (known === undefined) {
    const stranger = { id, user: '', scopes: [], issuedAt: now, expiresAt: now + MAX_EXPIRY_SECONDS };
    return withToken(content, { ...stranger, revokedAt: now });
  }
  const tokens = content.tokens.map((token) => (token === known ? { ...token, revokedAt: now } : token));
  return { ...content, tokens };
}

/** Revokes all tokens that a user has now; ones issued from now on are not touched. */
export function withUserRevoked(content: RegisterContent, user: string, now: number): RegisterContent {
  const tokens = content.tokens.map((token) =>
    token.user === user && token.revokedAt === undefined ? { ...token, revokedAt: now } : token,
  );
  const others = content.cutoffs.filter((cutoff) => cutoff.user !== user);
  return { ...content, tokens, cutoffs: [...others, { user, before: now }] };
}

/** Drops what can no longer matter: a token that has ended is refused by its own date. */
export function withoutEnded(content: RegisterContent, now: number): RegisterContent {
  return {
    ...content,
    tokens: content.tokens.filter((token) => token.expiresAt + KEEP_ENDED_SECONDS > now),
    cutoffs: content.cutoffs.filter((cutoff) => cutoff.before + MAX_EXPIRY_SECONDS > now),
  };
}

/** What two registers know together. A token that one of them has revoked, by itself or with its user, is revoked. */
export function merged(one: RegisterContent, other: RegisterContent): RegisterContent {
  const tokens = new Map<string, TokenRecord>();
  for (const token of [...strangersRevoked(one, other), ...strangersRevoked(other, one)]) {
    const known = tokens.get(token.id);
    tokens.set(token.id, known === undefined ? token : mergedRecord(known, token));
  }
  const cutoffs = new Map<string, number>();
  for (const { user, before } of [...one.cutoffs, ...other.cutoffs]) {
    cutoffs.set(user, Math.max(before, cutoffs.get(user) ?? 0));
  }
  return {
    version: 1,
    // In the order of their issue, as they stand in a register anyway.
    tokens: [...tokens.values()].sort((a, b) => a.issuedAt - b.issuedAt || (a.id < b.id ? -1 : 1)),
    cutoffs: [...cutoffs]
      .map(([user, before]) => ({ user, before }))
      .sort((a, b) => (a.user < b.user ? -1 : 1)),
  };
}

/**
 * The tokens of `one`; those that `other` did not know when it revoked their user are revoked. Not those of the same
 * second: they may have been issued after it.
 */
function strangersRevoked({ tokens }: RegisterContent, other: RegisterContent): readonly TokenRecord[] {
  const known = new Set(other.tokens.map(({ id }) => id));
  const cutoffs = new Map(other.cutoffs.map(({ user, before }) => [user, before]));
  return tokens.map((token) => {
    const before = cutoffs.get(token.user) ?? 0;
    if (token.revokedAt !== undefined || known.has(token.id) || token.issuedAt >= before) return token;
    return { ...token, revokedAt: before };
  });
}

function mergedRecord(one: TokenRecord, other: TokenRecord): TokenRecord {
  // One without a user is a stranger that was revoked by its id: the other register may know whose it is.
  const known = one.user === '' ? other : one;
  const revocations = [one, other].flatMap(({ revokedAt }) => revokedAt ?? []);
  return revocations.length === 0 ? known : { ...known, revokedAt: Math.min(...revocations) };
}

/** What `known` has revoked and `other` would let pass: how many tokens, and whose as a whole. Ended ones do not count. */
export function revocationsUnknownTo(
  other: RegisterContent,
  known: RegisterContent,
  now: number,
): { readonly tokens: number; readonly users: readonly string[] } {
  const isRevoked = createRevocationCheck(other);
  const tokens = known.tokens.filter(
    (token) => token.revokedAt !== undefined && token.expiresAt > now && !isRevoked(token),
  );
  const cutoffs = new Map(other.cutoffs.map(({ user, before }) => [user, before]));
  const users = known.cutoffs.filter(({ user, before }) => before > (cutoffs.get(user) ?? -1));
  return { tokens: tokens.length, users: users.map(({ user }) => user) };
}

/** Whether two registers say the same, in whatever order. */
export function isSame(one: RegisterContent, other: RegisterContent): boolean {
  return isDeepStrictEqual(merged(one, EMPTY), merged(other, EMPTY));
}

/** Tokens of at most so many days are renewed as a matter of routine: nobody is told before their end. */
const ROUTINE_DAYS = 7;
const DAY_SECONDS = 24 * 3600;

/** The dates (UTC) on which valid tokens end that were made to last, the earliest first; each once. */
export function endsWorthTelling({ tokens }: RegisterContent, now: number): readonly string[] {
  const ends = tokens
    .filter(({ revokedAt, expiresAt }) => revokedAt === undefined && expiresAt > now)
    .filter(({ issuedAt, expiresAt }) => expiresAt - issuedAt > ROUTINE_DAYS * DAY_SECONDS)
    .map(({ expiresAt }) => new Date(expiresAt * 1000).toISOString().slice(0, 10));
  return [...new Set(ends)].sort();
}

/** Looks tokens up fast: this is asked for each request. */
export function createRevocationCheck({ tokens, cutoffs }: RegisterContent) {
  const byId = new Map(tokens.map((token) => [token.id, token]));
  const byUser = new Map(cutoffs.map(({ user, before }) => [user, before]));
  return function isRevoked(token: {
    readonly id: string;
    readonly user: string;
    readonly issuedAt: number;
  }) {
    const record = byId.get(token.id);
    if (record !== undefined) return record.revokedAt !== undefined;
    const before = byUser.get(token.user);
    return before !== undefined && token.issuedAt <= before;
  };
}
