import { GateError, refuseMadeUpAddress, settingsFrom } from '../../../scripts/lib/gate/settings';

const ENVIRONMENT = {
  BOTSTACK_REGION: 'us-east-1',
  BOTSTACK_BUCKET: 'bucket',
  BOTSTACK_REPORT_KEY: 'reports/i-1.json',
  BOTSTACK_SECRET_ARN: 'arn:aws:secretsmanager:us-east-1:1:secret:s',
  BOTSTACK_INSTANCE_ID: 'i-1',
  BOTSTACK_ADDRESS: '203.0.113.1',
  BOTSTACK_EXTERNAL_PORT: '18789',
  BOTSTACK_CERTIFICATE_FILE: '/nowhere/certificate.pem',
};

describe('settingsFrom', () => {
  it('waits at most 15 minutes, and 5 for a first word, unless told otherwise', () => {
    expect(settingsFrom(ENVIRONMENT)).toMatchObject({
      limitMs: 900_000,
      silenceMs: 300_000,
      address: '203.0.113.1',
    });
    expect(settingsFrom({ ...ENVIRONMENT, BOTSTACK_LIMIT_SECONDS: '60' })).toMatchObject({ limitMs: 60_000 });
  });

  it('names what is missing', () => {
    expect(() => settingsFrom({ ...ENVIRONMENT, BOTSTACK_BUCKET: '', BOTSTACK_EXTERNAL_PORT: 'x' })).toThrow(
      /missing or wrong: BOTSTACK_BUCKET, BOTSTACK_EXTERNAL_PORT$/,
    );
  });

  it('goes to the address of the test where one is set', () => {
    expect(settingsFrom({ ...ENVIRONMENT, BOTSTACK_ENDPOINT_ADDRESS: '10.0.0.9' }).address).toBe('10.0.0.9');
    expect(settingsFrom({ ...ENVIRONMENT, BOTSTACK_ENDPOINT_ADDRESS: '' }).address).toBe('203.0.113.1');
  });
});

describe('refuseMadeUpAddress', () => {
  it("refuses an emulator's address, which belongs to somebody else", () => {
    const emulated = { ...ENVIRONMENT, AWS_ENDPOINT_URL: 'http://127.0.0.1:5000' };
    expect(() => refuseMadeUpAddress(emulated)).toThrow(GateError);
    expect(() => refuseMadeUpAddress(emulated)).toThrow(/203\.0\.113\.1 is not this deployment's address/);
    expect(() => refuseMadeUpAddress({ ...emulated, BOTSTACK_ENDPOINT_ADDRESS: '10.0.0.9' })).not.toThrow();
    expect(() => refuseMadeUpAddress(ENVIRONMENT)).not.toThrow();
  });
});
