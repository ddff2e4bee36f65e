import { load } from 'js-yaml';

import { REGISTER_FILE } from '../../runtime/src/access/register-file';
import { configSchema } from '../../runtime/src/config/schema';
import { POLICY_FILE } from '../../runtime/src/policy/store';
import { STATE_KEYS } from '../../stacks/constructs/artifacts';
import { type BootValues, bootText, escapeForTerraform } from '../../stacks/machine-config';
import type { BotProps } from '../../stacks/props';
import { resolveProps } from '../../stacks/props/resolve';
import { findInstanceType } from '../../stacks/catalogue';

const TOKENS = {
  bucket: '${aws_s3_bucket.b.bucket}',
  secretArn: '${aws_secretsmanager_secret.s.arn}',
  publicAddress: '${aws_eip.e.public_ip}',
};

function values(given: BotProps = {}, modelPath = '/models/SmolLM2-135M-Instruct.Q4_1.gguf'): BootValues {
  const props = resolveProps(given);
  return {
    props,
    instanceType: findInstanceType(props.instanceType)!,
    bundle: { key: `bundles/${'b'.repeat(64)}.tar.gz`, sha256: 'b'.repeat(64) },
    model: { key: `models/${'d'.repeat(64)}.gguf`, sha256: 'd'.repeat(64), path: modelPath },
    ...TOKENS,
  };
}

/** The file that cloud-init will write, as Terraform will hand it over. */
function fileIn(text: string, path: RegExp): string {
  const unescaped = text.replaceAll('$${', () => '${').replaceAll('%%{', '%{');
  const { write_files: files } = load(unescaped) as { write_files: { path: string; content: string }[] };
  return files.find((file) => path.test(file.path))?.content ?? '';
}

describe('bootText', () => {
  const text = bootText(values());

  it("holds Terraform's references and no other template", () => {
    const references = text.match(/(?<!\$)\$\{[^}]*\}/g);
    expect(new Set(references)).toEqual(new Set(Object.values(TOKENS)));
    expect(text).not.toMatch(/(?<!%)%\{/);
  });

  it('leaves room for the longest bucket name and secret ARN', () => {
    // What bootText itself checks is the text with stand-ins of those lengths.
    const longest = bootText({
      ...values(),
      bucket: 'b'.repeat(63),
      secretArn: 'a'.repeat(129),
      publicAddress: '0',
    });
    expect(Buffer.byteLength(longest)).toBeLessThanOrEqual(16_384);
  });

  it.each<[string, BotProps]>([
    ['the defaults', {}],
    [
      'everything changed',
      {
        name: 'a-team',
        region: 'eu-central-1',
        instanceType: 'm8g.xlarge',
        contextSize: 16_384,
        sequences: 2,
        maxTokens: 512,
        temperature: 0,
        externalPort: 20_000,
        internalPort: 9000,
      },
    ],
  ])('writes a configuration that the service accepts: %s', (_, props) => {
    const given = values(props);
    const config = load(fileIn(bootText(given), /config\.yaml$/)) as object;
    const parsed = configSchema.safeParse({
      ...config,
      security: { region: 'x', api_key_secret_id: 'arn:aws:x' },
      state_copy: { ...(config as { state_copy: object }).state_copy, bucket: 'bot-artifacts-0001' },
    });
    expect(parsed.error?.issues).toBeUndefined();
    const { sequences } = given.props;
    expect('sequences' in parsed.data!.engine).toBe(sequences !== undefined);
    expect(parsed.data).toMatchObject({
      network: { external_port: given.props.externalPort, internal_port: given.props.internalPort },
      max_tokens: given.props.maxTokens,
      temperature: given.props.temperature,
      engine: {
        context_size: given.props.contextSize,
        ...(sequences === undefined ? {} : { sequences }),
        threads: given.instanceType.vcpus,
      },
    });
  });

  it('hands the secret over by its name, not by its value', () => {
    expect(load(fileIn(text, /config\.yaml$/))).toMatchObject({
      security: { api_key_secret_id: TOKENS.secretArn, region: 'us-east-1' },
    });
  });

  it('has what must outlive the machine kept in the bucket, in the objects that the stack makes', () => {
    const config = load(fileIn(text, /config\.yaml$/)) as { state_copy: { prefix: string } };
    expect(config).toMatchObject({ state_copy: { bucket: TOKENS.bucket, region: 'us-east-1' } });
    const { prefix } = config.state_copy;
    expect([...STATE_KEYS].sort()).toEqual([`${prefix}${POLICY_FILE}`, `${prefix}${REGISTER_FILE}`]);
  });

  it('lets nginx have port 8080 only when the console is asked for, and the console the one beside it', () => {
    const open = bootText(values({ console: true, adminCidrs: ['192.0.2.0/24'] }));
    expect(load(fileIn(open, /config\.yaml$/))).toMatchObject({
      network: { console_port: 8081, console_proxied: true },
    });
    expect(load(fileIn(text, /config\.yaml$/))).toMatchObject({
      network: { console_port: 8080, console_proxied: false },
    });
  });

  it('makes a safe file name of whatever the model is called', () => {
    const config = fileIn(bootText(values({}, '/my models/-Ünïcode $(rm) model.GGUF')), /config\.yaml$/);
    expect(load(config)).toMatchObject({ model_path: '/opt/bot/models/n-code-rm-model.gguf' });
  });
});

describe('escapeForTerraform', () => {
  it('doubles what would begin a template', () => {
    expect(escapeForTerraform('${A} %{B} $C %D $${E}')).toBe('$${A} %%{B} $C %D $$${E}');
  });
});
