// @ts-check
import { SetupError } from './say.mjs';

/** The oldest Node that runs every part: express 5, cdktf, the AWS SDK. */
const OLDEST_NODE = [20, 19];

/** CPU builds of the engine, by `process.platform-process.arch`. GPU builds are left out: 600 MB more. */
const BACK_ENDS = /** @type {const} */ ({
  'linux-x64': 'linux-x64',
  'linux-arm64': 'linux-arm64',
  'darwin-arm64': 'mac-arm64-metal',
  'darwin-x64': 'mac-x64',
  'win32-x64': 'win-x64',
  'win32-arm64': 'win-arm64',
});

/** @param {string} [version] without the leading v */
export function checkNode(version = process.versions.node) {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  const [oldestMajor = 0, oldestMinor = 0] = OLDEST_NODE;
  if (major > oldestMajor || (major === oldestMajor && minor >= oldestMinor)) return;
  throw new SetupError(
    `Node.js ${version} is too old: botstack needs ${OLDEST_NODE.join('.')} or later`,
    'install a current one (https://nodejs.org, or: nvm install 24), then run this again',
  );
}

/**
 * The packages that carry compiled code for this machine: llama.cpp, and what calls the C library.
 *
 * @param {string} [platform]
 * @param {string} [arch]
 */
export function machinePackages(platform = process.platform, arch = process.arch) {
  const name = BACK_ENDS[/** @type {keyof typeof BACK_ENDS} */ (`${platform}-${arch}`)];
  if (!name) {
    throw new SetupError(
      `there is no prebuilt engine for ${platform} on ${arch}`,
      `use one of: ${Object.keys(BACK_ENDS).join(', ')}`,
    );
  }
  return [`@node-llama-cpp/${name}`, `@koromix/koffi-${platform}-${arch}`];
}
