/** A count before its noun, which takes an `s` in the plural: `1 second`, `2 seconds`, `0 seconds`. */
export function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}
