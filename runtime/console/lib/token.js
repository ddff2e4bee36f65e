// @ts-check

/**
 * Takes the token out of what was pasted: bare, with `Bearer`, or the whole output of generate_token.sh.
 *
 * @param {string} pasted
 */
export function cleanToken(pasted) {
  const text = pasted.trim();
  return /(?:Access Token:|Bearer)\s*(\S+)/i.exec(text)?.[1] ?? text;
}

/**
 * What a JWT says of itself, for display only: whether it is true is the server's to check.
 *
 * @param {string} token
 * @returns {{ user?: string, expires?: Date }} empty for the API key, which is not a JWT
 */
export function describeToken(token) {
  const payload = token.split('.')[1];
  if (payload === undefined) return {};
  try {
    const bytes = Uint8Array.from(atob(payload.replace(/-/g, '+').replace(/_/g, '/')), (c) =>
      c.charCodeAt(0),
    );
    const { sub, exp } = JSON.parse(new TextDecoder().decode(bytes));
    return {
      ...(typeof sub === 'string' && { user: sub }),
      ...(typeof exp === 'number' && { expires: new Date(exp * 1000) }),
    };
  } catch {
    return {};
  }
}

/**
 * Whether a credential with these scopes may do what needs `scope`; for display only, the server decides.
 *
 * @param {readonly string[] | 'all'} scopes
 * @param {string} scope empty for what everybody may
 */
export const allows = (scopes, scope) =>
  scope === '' || scopes === 'all' || scopes.includes('admin') || scopes.includes(scope);
