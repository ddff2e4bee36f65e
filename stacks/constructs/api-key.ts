import { SecretsmanagerSecret } from '@cdktf/provider-aws/lib/secretsmanager-secret';
import { SecretsmanagerSecretVersion } from '@cdktf/provider-aws/lib/secretsmanager-secret-version';
import { TerraformStack } from 'cdktf';
import { Construct } from 'constructs';

export interface ApiKeyProps {
  readonly name: string;
}

/** `sk-` and 48 letters and digits: 285 bits. */
const RANDOM_LENGTH = 48;

/**
 * The API key, in Secrets Manager (0.40 USD a month). Its value is made by Secrets Manager while Terraform applies and
 * goes straight back there: it is in no plan, no state and no output.
 */
export class ApiKey extends Construct {
  readonly secret: SecretsmanagerSecret;
  readonly secretArn: string;
  readonly secretName: string;
  /** The first key. What works with the secret's content waits for it. */
  readonly firstValue: SecretsmanagerSecretVersion;

  constructor(scope: Construct, id: string, { name }: ApiKeyProps) {
    super(scope, id);

    const secret = new SecretsmanagerSecret(this, 'secret', {
      // A prefix and no recovery window: a deleted secret keeps its name, and would block the next deploy for a week.
      namePrefix: `${name}-api-key-`,
      recoveryWindowInDays: 0,
      description: `API key of the chat service ${name}`,
    });
    this.secret = secret;
    this.secretArn = secret.arn;
    this.secretName = secret.name;

    const value = new SecretsmanagerSecretVersion(this, 'value', { secretId: secret.id });
    this.firstValue = value;
    const random = 'api_key';
    // cdktf has no types for ephemeral blocks and write-only arguments (Terraform 1.11).
    TerraformStack.of(this).addOverride(`ephemeral.aws_secretsmanager_random_password.${random}`, {
      password_length: RANDOM_LENGTH,
      exclude_punctuation: true,
    });
    value.addOverride(
      'secret_string_wo',
      `sk-\${ephemeral.aws_secretsmanager_random_password.${random}.random_password}`,
    );
    // Terraform cannot see whether a write-only value changed; it writes again when this number does.
    value.addOverride('secret_string_wo_version', 1);
  }
}
