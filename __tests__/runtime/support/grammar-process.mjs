// @ts-nocheck -- it uses what node-llama-cpp keeps to itself
/** Reads questions `[{grammar, texts}]` from standard input; writes which texts llama.cpp lets through. */
import { getLlama } from '../../../runtime/node_modules/node-llama-cpp/dist/index.js';

let input = '';
for await (const piece of process.stdin) input += piece;
const llama = await getLlama({ gpu: false, build: 'never', skipDownload: true, logLevel: 'error' });
const answers = [];
for (const { grammar, texts } of JSON.parse(input)) {
  try {
    const made = await llama.createGrammar({ grammar });
    answers.push(texts.map((text) => made._testText(text)));
  } catch (error) {
    answers.push(String(error));
  }
}
process.stdout.write(JSON.stringify(answers), () => process.exit(0));
