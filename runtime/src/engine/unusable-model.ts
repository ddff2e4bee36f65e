/** The model cannot be used, and why: a message for people with the cause and what to do. */
export class UnusableModel extends Error {
  constructor(
    message: string,
    /** Figures that explain it: the path, bytes needed and there. */
    readonly details: Readonly<Record<string, number | string>> = {},
  ) {
    super(message);
    this.name = 'UnusableModel';
  }
}
