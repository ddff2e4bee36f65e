import { withMyAddress } from '../../stacks/my-address';

describe('withMyAddress', () => {
  it("puts the deploying machine's address in place of the word", async () => {
    expect(
      await withMyAddress(['my-address', '203.0.113.0/24'], () => Promise.resolve('198.51.100.7')),
    ).toEqual(['198.51.100.7/32', '203.0.113.0/24']);
  });

  it('names a range once', async () => {
    expect(
      await withMyAddress(['198.51.100.7/32', 'my-address'], () => Promise.resolve('198.51.100.7')),
    ).toEqual(['198.51.100.7/32']);
  });

  it('asks nobody when the word is not there', async () => {
    const nobody = () => Promise.reject(new Error('asked'));
    expect(await withMyAddress(['203.0.113.0/24'], nobody)).toEqual(['203.0.113.0/24']);
  });
});
