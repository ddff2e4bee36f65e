import { open } from 'node:fs/promises';

/** The model cannot be used, and why: a message for people with the cause and what to do. */
export class UnusableModel extends Error {
  constructor(
    message: string,
    readonly details: Readonly<Record<string, number | string>> = {},
  ) {
    super(message);
    this.name = 'UnusableModel';
  }
}

const MAGIC = 'GGUF';

/** Looks at the file before anything is loaded, for the mistakes that have a simple name. @throws UnusableModel */
export async function checkModelFile(path: string): Promise<{ readonly bytes: number }> {
  const file = await open(path, 'r').catch((error: NodeJS.ErrnoException) => {
    throw new UnusableModel(explainOpenError(path, error), { path });
  });
  try {
    const stat = await file.stat();
    if (!stat.isFile()) {
      throw new UnusableModel(`model_path ${path} is not a file; expected the path of a GGUF file`, { path });
    }
    const head = Buffer.alloc(MAGIC.length);
    const { bytesRead } = await file.read(head, 0, MAGIC.length, 0);
    if (bytesRead < MAGIC.length || head.toString('latin1') !== MAGIC) {
      const found =
        bytesRead === 0 ? 'nothing' : JSON.stringify(head.subarray(0, bytesRead).toString('latin1'));
      throw new UnusableModel(
        `model_path ${path} is not a GGUF model: its first bytes should be "GGUF", found ${found}; ` +
          'download the model again, and check that the source names a .gguf file',
        { path },
      );
    }
    return { bytes: stat.size };
  } finally {
    await file.close();
  }
}

function explainOpenError(path: string, error: NodeJS.ErrnoException): string {
  if (error.code === 'ENOENT') {
    return `model_path ${path} does not exist; fetch the model with \`bot model pull\`, or correct model_path`;
  }
  if (error.code === 'EACCES') {
    return `model_path ${path} may not be read by user ${process.getuid?.() ?? '?'}; give that user read access`;
  }
  return `model_path ${path} cannot be opened: ${error.message}`;
}
