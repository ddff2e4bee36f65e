import { partsOf, requireOneFile } from '../../../runtime/src/models/gguf-parts';

describe('the files of a model', () => {
  it('are as many as the name of the first says, in its folder', () => {
    expect(partsOf('/m/x-00001-of-00003.gguf')).toEqual([
      '/m/x-00001-of-00003.gguf',
      '/m/x-00002-of-00003.gguf',
      '/m/x-00003-of-00003.gguf',
    ]);
  });

  it.each(['/m/x.gguf', '/m/x-00000-of-00003.gguf', '/m/x-00004-of-00003.gguf', '/m/x-1-of-3.gguf'])(
    'are one for %s',
    (path) => expect(partsOf(path)).toEqual([path]),
  );

  it('begin with the first', () => {
    expect(() => partsOf('/m/x-00002-of-00003.gguf')).toThrow(
      '/m/x-00002-of-00003.gguf is part 2 of a model in 3 parts; name the first, /m/x-00001-of-00003.gguf',
    );
  });

  it('have to be one where one is fetched', () => {
    expect(() => requireOneFile('x.gguf')).not.toThrow();
    expect(() => requireOneFile('x-00001-of-00002.gguf')).toThrow(
      /^x-00001-of-00002\.gguf is one part .* --merge/,
    );
  });
});
