import { synthesise, type Synthesised } from '../synthesised';
import { TOPOLOGIES } from '../topologies';

const EXPRESSION = /\$\{[^}]*\}/g;
const REFERENCE = /\b(data\.|ephemeral\.)?((?:aws|terraform)_[a-z0-9_]+)\.([A-Za-z0-9_-]+)/g;

/** What is referred to, in expressions and by name in lists of dependencies, and is not there. */
function dangling({ document }: Synthesised): string[] {
  const missing = new Set<string>();
  const look = (text: string) => {
    for (const [whole, kind = '', type = '', name = ''] of text.matchAll(REFERENCE)) {
      const place = kind === 'data.' ? document.data : kind === '' ? document.resource : document.ephemeral;
      if (place[type]?.[name] === undefined) missing.add(whole);
    }
  };
  const visit = (value: unknown, key: string) => {
    if (typeof value === 'string') {
      if (key === 'depends_on' || key === 'replace_triggered_by') look(value);
      // `$${` is a literal `${`, as in the shell scripts of the user-data.
      else for (const expression of value.replaceAll('$${', '').match(EXPRESSION) ?? []) look(expression);
    } else if (Array.isArray(value)) value.forEach((entry) => visit(entry, key));
    else if (value !== null && typeof value === 'object')
      for (const [each, entry] of Object.entries(value)) visit(entry, each);
  };
  visit(document, '');
  return [...missing];
}

describe('every reference', () => {
  it.each(Object.entries(TOPOLOGIES))('resolves: %s', (_name, props) => {
    const stack = synthesise(props);
    expect(stack.json.match(EXPRESSION)?.length).toBeGreaterThan(30);
    expect(dangling(stack)).toEqual([]);
  });

  it('would be missed if it did not', () => {
    const stack = synthesise();
    delete stack.document.resource['aws_eip'];
    expect(dangling(stack)).toContainEqual(expect.stringMatching(/^aws_eip\./));
  });
});
