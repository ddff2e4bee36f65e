/** A JSON schema that cannot be made into a grammar: which place in it, and why. */
export class SchemaError extends Error {
  constructor(
    /** Where, from the schema's root: `['properties', 'age', 'multipleOf']`. */
    readonly path: readonly (string | number)[],
    /** Rest of the sentence that begins with the place's name. */
    readonly reason: string,
  ) {
    super(`${path.join('.') || 'the schema'}: ${reason}`);
    this.name = 'SchemaError';
  }
}
