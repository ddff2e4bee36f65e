/** The API key is replaced while the service answers: nobody who holds the key before, or the new one, is refused. */
import assert from 'node:assert/strict';
import {
  DescribeSecretCommand,
  GetSecretValueCommand,
  ListSecretsCommand,
  RotateSecretCommand,
} from '@aws-sdk/client-secrets-manager';
import { waitFor } from '../box/commands';
import type { Report } from '../report';
import { answers } from './endpoint';
import { whileAsked } from './meanwhile';
import { secretsManager, type Subject } from './subject';

/** Calls the deployed function as Secrets Manager does: the emulator runs its code, with its role. */
export async function checkRotation(report: Report, subject: Subject): Promise<void> {
  const { deployment, apiKey } = subject;
  const secrets = secretsManager(deployment.box.account);

  await report.check('the key is replaced while the service answers, and both keys are taken', async () => {
    const { SecretList = [] } = await secrets.send(new ListSecretsCommand());
    const name = deployment.switches.name ?? '';
    const arn = SecretList.find((secret) => secret.Name?.startsWith(`${name}-api-key-`))?.ARN;
    const before = await pidOfService(subject);

    let key = apiKey;
    const { asked } = await whileAsked(subject, apiKey, async () => {
      const { RotationLambdaARN } = await secrets.send(new DescribeSecretCommand({ SecretId: arn }));
      // Secrets Manager knows its function; the emulator forgets it when it is not named again.
      await secrets.send(new RotateSecretCommand({ SecretId: arn, RotationLambdaARN }));
      const current = new GetSecretValueCommand({ SecretId: arn, VersionStage: 'AWSCURRENT' });
      key = (await secrets.send(current)).SecretString ?? '';
      assert.match(key, /^sk-[A-Za-z0-9]{48}$/);
      assert.notEqual(key, apiKey);
      await waitFor(
        'the service to take the new key',
        async () => (await answers(subject, key)) || undefined,
        {
          timeoutMs: 180_000,
          // The service reads its keys again for an unknown one when it has not just done so, each 5 s at the latest.
          // Asked more often, it would count a guess each time, and lock this address out.
          intervalMs: 5_500,
        },
      );
    });
    assert.equal(await answers(subject, apiKey), true);

    const { VersionIdsToStages: stages = {} } = await secrets.send(
      new DescribeSecretCommand({ SecretId: arn }),
    );
    assert.deepEqual(Object.values(stages).flat().sort(), ['AWSCURRENT', 'AWSPREVIOUS']);
    assert.equal(await pidOfService(subject), before, 'the service was restarted');
    return `${asked} requests with the key before were answered meanwhile`;
  });
}

async function pidOfService({ guest }: Subject): Promise<string> {
  return (await guest.exec(['systemctl', 'show', 'bot', '-p', 'MainPID', '--value'])).stdout.trim();
}
