import { WORKERS } from './__tests__/support/interleaving-sequencer.mjs';

// The SDK announces at each start when it will drop a version of Node: not what a test's output is for.
process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED ??= 'true';

/**
 * Two projects: `unit` needs no model and takes seconds; `model` starts the compiled runtime on a real GGUF.
 *
 * Sources are transpiled to CommonJS for Jest. That covers the stacks (CommonJS anyway) and every runtime file
 * that does not import node-llama-cpp (which is ESM with top-level await and runs only in the child process).
 */
const shared = {
  testEnvironment: 'node',
  // Runtime sources are ESM and import './x.js'; Jest resolves that to './x.ts'.
  moduleNameMapper: { '^(\\.{1,2}/.*)\\.js$': '$1' },
  transform: {
    '^.+\\.ts$': ['ts-jest', { tsconfig: '<rootDir>/__tests__/tsconfig.json', diagnostics: false }],
    // The console's modules, which browsers load as they are.
    'runtime/console/.+\\.js$': [
      'ts-jest',
      { tsconfig: '<rootDir>/__tests__/tsconfig.json', diagnostics: false },
    ],
    // jose and openai's ESM builds, and nothing else from node_modules.
    'node_modules/(jose)/.+\\.js$': [
      'ts-jest',
      { tsconfig: '<rootDir>/__tests__/tsconfig.json', diagnostics: false },
    ],
  },
  transformIgnorePatterns: ['/node_modules/(?!jose/)'],
  modulePathIgnorePatterns: ['<rootDir>/cdktf.out', '<rootDir>/.artifacts', '<rootDir>/runtime/dist'],
};

export default {
  projects: [
    {
      ...shared,
      displayName: 'unit',
      testMatch: ['<rootDir>/__tests__/**/*.test.ts'],
      testPathIgnorePatterns: ['/node_modules/', '\\.model\\.test\\.ts$', '/__tests__/e2e/'],
    },
    {
      ...shared,
      displayName: 'model',
      testMatch: ['<rootDir>/__tests__/**/*.model.test.ts'],
      setupFilesAfterEnv: ['<rootDir>/__tests__/support/one-engine-at-a-time.ts'],
    },
  ],
  globalSetup: '<rootDir>/__tests__/support/folder-of-run.mjs',
  testSequencer: '<rootDir>/__tests__/support/interleaving-sequencer.mjs',
  maxWorkers: WORKERS,
  testTimeout: 60_000,
};
