/**
 * A function of the process's own C library, whatever that is called: Node has no way to ask the system for some things.
 * Loaded only where it is used.
 *
 * @param signature as C declares it
 */
export async function cFunction(signature: string): Promise<(...args: readonly number[]) => number> {
  const { default: koffi } = await import('koffi');
  return koffi.load(null).func(signature) as (...args: readonly number[]) => number;
}
