/** Each topology as it was reviewed. A change here is a change of what somebody runs: read the difference, then -u. */
import { synthesise } from '../synthesised';
import { TOPOLOGIES } from '../topologies';

it.each(Object.entries(TOPOLOGIES))('synthesises what was reviewed: %s', (_name, props) => {
  const { document } = synthesise(props);
  for (const machine of Object.values(document.resource['aws_instance'] ?? {})) {
    // Reviewed where its files are, and tested in __tests__/cloud-init.
    machine['user_data'] = 'the user-data';
  }
  for (const resource of Object.values(document.resource['terraform_data'] ?? {})) {
    const { triggers_replace: triggers } = resource as { triggers_replace?: Record<string, string> };
    if (triggers?.['userData'] !== undefined) triggers['userData'] = 'its hash';
  }
  expect(document).toMatchSnapshot();
});
