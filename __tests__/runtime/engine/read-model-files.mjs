// @ts-nocheck -- it loads what was compiled
/** Prints what readModelFile, of the module named first, says of each path: 'whole', or why not. llama.cpp's module cannot be had in Jest. */
const [module, ...paths] = process.argv.slice(2);
const { readModelFile } = await import(module);
const said = [];
for (const path of paths) {
  said.push(
    await readModelFile(path).then(
      () => 'whole',
      ({ message }) => message,
    ),
  );
}
process.stdout.write(JSON.stringify(said));
process.exit(0);
