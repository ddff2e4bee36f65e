/** What the person who deploys can put right. Shown as a list, without a stack trace. */
export class ProblemsError extends Error {
  override readonly name = 'ProblemsError';
  /** One line each: what, what is allowed or expected, what was found, the remedy. */
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(problems.join('\n'));
    this.problems = problems;
  }
}

/** The list as it is printed. */
export function listProblems({ problems }: ProblemsError): string {
  const title = problems.length === 1 ? 'One thing to put right:' : `${problems.length} things to put right:`;
  return `${title}\n${problems.map((problem) => `  - ${problem}\n`).join('')}`;
}
