/** Who sent a request. */
export interface Identity {
  /** The token's user; `api-key` for an API key. */
  readonly user: string;
  /** Undefined for an API key. */
  readonly tokenId?: string;
  /** API keys are good for everything. */
  readonly scopes: readonly string[] | 'all';
}
