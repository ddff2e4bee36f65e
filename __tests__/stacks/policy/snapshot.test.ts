/** Each topology as it was reviewed. A change here is a change of what somebody runs: read the difference, then -u. */
import { synthesise } from '../synthesised';
import { TOPOLOGIES } from '../topologies';

/** What is reviewed where its files are, and tested in __tests__/cloud-init: here only that it is there. */
const ELSEWHERE: Readonly<Record<string, string>> = {
  user_data: 'the user-data',
  userData: 'its hash',
  content_base64: 'an archive',
};

it.each(Object.entries(TOPOLOGIES))('synthesises what was reviewed: %s', (_name, props) => {
  const text = JSON.stringify(synthesise(props).document, (key, value: unknown) =>
    typeof value === 'string' ? (ELSEWHERE[key] ?? value) : value,
  );
  const masked = text
    .replace(/(files|functions)\/[0-9a-f]{64}/g, '$1/HASH')
    // Paths are said from the checkout, wherever that lies.
    .replace(/(\.\.\/)+deployer\//g, 'deployer/');
  expect(JSON.parse(masked)).toMatchSnapshot();
});
