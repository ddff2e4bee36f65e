import { explain } from '../../../scripts/lib/gate/aws';
import { GateError } from '../../../scripts/lib/gate/settings';

function named(name: string, message = ''): Error {
  return Object.assign(new Error(message), { name });
}

describe('explain', () => {
  it('names the permission that is missing', () => {
    expect(explain(named('AccessDenied'), 's3:GetObject on x')).toEqual(
      new GateError('AWS refuses: the credentials you deploy with need s3:GetObject on x'),
    );
  });

  it.each(['ExpiredToken', 'CredentialsProviderError', 'InvalidAccessKeyId', 'UnrecognizedClientException'])(
    'says how to sign in again: %s',
    (name) => {
      expect(String(explain(named(name, 'it is over'), 'x'))).toMatch(/sign in again.*aws sso login/);
    },
  );

  it('leaves everything else as it is', () => {
    const error = named('TimeoutError');
    expect(explain(error, 'x')).toBe(error);
  });
});
