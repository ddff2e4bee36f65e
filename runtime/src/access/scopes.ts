/** What a credential may be used for. Each route names the scopes that open it. */

export const SCOPES = ['chat', 'logs:read', 'metrics:read', 'admin'] as const;

/**
 * `chat`: models and answers; `logs:read`: the service's log; `metrics:read`: /metrics; `admin`: tokens and policy,
 * and everything else too.
 */
export type Scope = (typeof SCOPES)[number];

/** What an access token gets unless told otherwise. */
export const DEFAULT_SCOPES: readonly Scope[] = ['chat'];

/** Whether somebody with the scopes `granted` may do what needs one of `wanted`. */
export function allows(granted: readonly string[] | 'all', wanted: readonly Scope[]): boolean {
  if (granted === 'all' || granted.includes('admin')) return true;
  return wanted.some((scope) => granted.includes(scope));
}

export function isScope(text: string): text is Scope {
  return (SCOPES as readonly string[]).includes(text);
}
