import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';

import { STATE_KEYS } from '../../stacks/constructs/artifacts';
import { describeOutputs } from '../../stacks/outputs';
import { ROOT } from '../../stacks/version';
import { BUNDLE, MODEL, synthesise } from './synthesised';

interface Statement {
  readonly Effect: string;
  readonly Action: string | string[];
  readonly Resource: string | string[];
}

const stack = synthesise();

function ingressOf(props: Parameters<typeof synthesise>[0]): string[] {
  return synthesise(props)
    .all('aws_vpc_security_group_ingress_rule')
    .map((rule) => `${String(rule['from_port'])}-${String(rule['to_port'])} ${String(rule['cidr_ipv4'])}`)
    .sort();
}

describe('the security group', () => {
  it('opens 443 and the external port to the users, and nothing else', () => {
    expect(ingressOf({ allowedCidrs: ['203.0.113.0/24', '198.51.100.7/32'], externalPort: 20000 })).toEqual([
      '20000-20000 198.51.100.7/32',
      '20000-20000 203.0.113.0/24',
      '443-443 198.51.100.7/32',
      '443-443 203.0.113.0/24',
    ]);
  });

  it('opens the console to the administrators only when asked', () => {
    expect(ingressOf({ console: true, adminCidrs: ['192.0.2.1/32'] })).toContain('8080-8080 192.0.2.1/32');
    expect(ingressOf({}).join()).not.toMatch(/8080/);
  });

  it('lets everything out', () => {
    expect(stack.one('aws_vpc_security_group_egress_rule')).toMatchObject({
      ip_protocol: '-1',
      cidr_ipv4: '0.0.0.0/0',
    });
  });

  it("takes every rule from the network's default group", () => {
    const group = stack.one('aws_default_security_group');
    expect(group).not.toHaveProperty('ingress');
    expect(group).not.toHaveProperty('egress');
  });
});

describe('the API key', () => {
  it('is made by Secrets Manager and never stands in the state', () => {
    expect(stack.document.ephemeral['aws_secretsmanager_random_password']).toEqual({
      api_key: { password_length: 48, exclude_punctuation: true },
    });
    const version = stack.one('aws_secretsmanager_secret_version');
    expect(version).not.toHaveProperty('secret_string');
    expect(version['secret_string_wo']).toBe(
      'sk-${ephemeral.aws_secretsmanager_random_password.api_key.random_password}',
    );
  });

  it('leaves no secret behind that would block the next deploy', () => {
    expect(stack.one('aws_secretsmanager_secret')).toMatchObject({
      recovery_window_in_days: 0,
      name_prefix: 'bot-api-key-',
    });
  });

  it('is used in one place only: where it is stored', () => {
    expect(stack.json.match(/random_password\.api_key/g)).toHaveLength(1);
    expect(stack.json).not.toMatch(/secret_string"/);
  });
});

describe('the bucket', () => {
  it('is private, encrypted, versioned and emptied on destroy', () => {
    expect(stack.one('aws_s3_bucket')).toMatchObject({ force_destroy: true });
    expect(stack.one('aws_s3_bucket_public_access_block')).toMatchObject({
      block_public_acls: true,
      block_public_policy: true,
      ignore_public_acls: true,
      restrict_public_buckets: true,
    });
    expect(stack.one('aws_s3_bucket_versioning')).toMatchObject({
      versioning_configuration: { status: 'Enabled' },
    });
    expect(stack.one('aws_s3_bucket_ownership_controls')).toMatchObject({
      rule: { object_ownership: 'BucketOwnerEnforced' },
    });
    expect(JSON.stringify(stack.one('aws_s3_bucket_server_side_encryption_configuration'))).toMatch(/AES256/);
  });

  it('refuses requests without TLS', () => {
    const { Statement: statements } = JSON.parse(String(stack.one('aws_s3_bucket_policy')['policy'])) as {
      Statement: object[];
    };
    expect(statements).toEqual([
      expect.objectContaining({
        Effect: 'Deny',
        Principal: '*',
        Action: 's3:*',
        Condition: { Bool: { 'aws:SecureTransport': 'false' } },
      }),
    ]);
  });

  it("holds bundle, model and the machine's files under their hashes, after versioning is on", () => {
    const objects = stack.all('aws_s3_object');
    const hashOf = (content: unknown) =>
      createHash('sha256')
        .update(Buffer.from(String(content), 'base64'))
        .digest('hex');
    const small = objects.filter(({ content_base64: content }) => content !== undefined);
    expect(small.map(({ key }) => /(\w+)\.zip$/.exec(String(key))?.[1])).toEqual(
      small.map(({ content_base64: content }) => hashOf(content)),
    );
    expect(objects.map(({ key }) => key).sort()).toEqual([
      `bundles/${BUNDLE.sha256}.tar.gz`,
      expect.stringMatching(/^files\/\w{64}\.zip$/),
      expect.stringMatching(/^functions\/\w{64}\.zip$/),
      expect.stringMatching(/^functions\/\w{64}\.zip$/),
      `models/${MODEL.sha256}.gguf`,
      ...[...STATE_KEYS].sort(),
    ]);
    for (const object of objects) {
      // What the machine writes has no content here to check.
      if (object['content'] !== '') expect(object).toMatchObject({ checksum_algorithm: 'SHA256' });
      expect(String(object['depends_on'])).toMatch(/aws_s3_bucket_versioning\./);
    }
  });
});

describe("the machine's role", () => {
  const { Statement: statements } = JSON.parse(
    String(stack.one('aws_iam_role_policy', { name: 'service' })['policy']),
  ) as {
    Statement: Statement[];
  };

  it('may read one secret and three objects, write its report and its state, open sessions, ship logs, and nothing more', () => {
    const bucket = expect.stringMatching(/^\$\{aws_s3_bucket\.[^}]+\.arn\}/) as unknown;
    expect(statements).toEqual([
      expect.objectContaining({ Effect: 'Allow', Action: 'secretsmanager:GetSecretValue' }),
      expect.objectContaining({
        Effect: 'Allow',
        Action: 's3:GetObject',
        Resource: [bucket, bucket, bucket],
      }),
      expect.objectContaining({ Effect: 'Allow', Action: 's3:PutObject', Resource: bucket }),
      {
        Sid: 'KeepState',
        Effect: 'Allow',
        Action: ['s3:GetObject', 's3:PutObject'],
        Resource: [bucket, bucket],
      },
      {
        Sid: 'OpenSessions',
        Effect: 'Allow',
        Action: [
          'ssm:UpdateInstanceInformation',
          'ssmmessages:CreateControlChannel',
          'ssmmessages:CreateDataChannel',
          'ssmmessages:OpenControlChannel',
          'ssmmessages:OpenDataChannel',
        ],
        Resource: '*',
      },
      expect.objectContaining({ Sid: 'ShipLogs' }),
      expect.objectContaining({ Sid: 'PublishMetrics' }),
    ]);
    const [secret, objects, report] = statements.map(({ Resource }) => Resource);
    expect(secret).toMatch(/^\$\{aws_secretsmanager_secret\.[^}]+\.arn\}$/);
    expect(objects).toEqual([
      expect.stringMatching(/\}\/bundles\/b{64}\.tar\.gz$/),
      expect.stringMatching(/\}\/models\/d{64}\.gguf$/),
      expect.stringMatching(/\}\/files\/[0-9a-f]{64}\.zip$/),
    ]);
    expect(report).toMatch(/\}\/reports\/\*$/);
  });

  it("has none of AWS's ready-made policies: the one for SSM reads every parameter of the account", () => {
    expect(stack.all('aws_iam_role_policy_attachment')).toEqual([]);
  });

  it('can be taken by EC2 only', () => {
    expect(
      JSON.parse(String(stack.one('aws_iam_role', { name_prefix: 'bot-instance-' })['assume_role_policy'])),
    ).toMatchObject({
      Statement: [{ Principal: { Service: 'ec2.amazonaws.com' }, Action: 'sts:AssumeRole' }],
    });
  });
});

describe('the machine', () => {
  const machine = stack.one('aws_instance');

  it('asks for tokens at its metadata service and hands them to nobody behind it', () => {
    expect(machine['metadata_options']).toEqual({
      http_endpoint: 'enabled',
      http_tokens: 'required',
      http_put_response_hop_limit: 1,
    });
  });

  it('has an encrypted gp3 disk of the size asked for', () => {
    expect(synthesise({ diskGiB: 80 }).one('aws_instance')['root_block_device']).toMatchObject({
      encrypted: true,
      volume_type: 'gp3',
      volume_size: 80,
      delete_on_termination: true,
    });
  });

  it('is replaced when it would boot differently, new before old', () => {
    expect(machine).toMatchObject({
      user_data_replace_on_change: true,
      lifecycle: { create_before_destroy: true },
    });
  });

  it('is replaced by one of another type: in place it would be stopped, and nothing would wait for it', () => {
    const { machine_type: type } = stack.document.resource['terraform_data']!;
    expect(type).toMatchObject({ input: { name: 'c7a.large' } });
    expect(machine['lifecycle']).toMatchObject({ replace_triggered_by: ['terraform_data.machine_type'] });
  });

  it('is not replaced because a newer image came out', () => {
    expect(machine['lifecycle']).toMatchObject({ ignore_changes: ['ami'] });
    const literal = synthesise({ amiId: 'ami-0123456789abcdef0' }).one('aws_instance');
    expect(literal['ami']).toBe('ami-0123456789abcdef0');
    expect(literal['lifecycle']).not.toHaveProperty('ignore_changes');
  });

  it.each([
    ['c7a.large', 'amd64'],
    ['c8g.large', 'arm64'],
  ])('boots Debian 12 of the architecture of %s', (instanceType, architecture) => {
    const { document } = synthesise({ instanceType });
    expect(Object.values(document.data['aws_ssm_parameter'] ?? {})).toEqual([
      expect.objectContaining({ name: `/aws/service/debian/release/12/latest/${architecture}` }),
    ]);
  });

  it('pays for no unlimited credits on a burstable type', () => {
    expect(synthesise({ instanceType: 't3.medium' }).one('aws_instance')).toMatchObject({
      credit_specification: { cpu_credits: 'standard' },
    });
    expect(machine).not.toHaveProperty('credit_specification');
  });

  it('waits for what its first boot needs', () => {
    const needed = String(machine['depends_on']);
    for (const type of [
      'aws_route_table_association',
      'aws_vpc_endpoint',
      'aws_vpc_security_group_egress_rule',
      'aws_iam_role_policy',
      'aws_secretsmanager_secret_version',
      'aws_s3_object',
    ]) {
      expect(needed).toMatch(new RegExp(`${type}\\.`));
    }
    // Nor for what the provider takes a minute over.
    expect(needed).not.toContain('aws_s3_bucket_lifecycle_configuration');
  });

  it('finds what it keeps in the bucket there from the beginning, and its own afterwards', () => {
    const kept = stack.all('aws_s3_object').filter(({ content }) => content === '');
    expect(kept.map(({ key }) => key).sort()).toEqual([...STATE_KEYS].sort());
    for (const { lifecycle } of kept) expect(lifecycle).toMatchObject({ ignore_changes: 'all' });
  });

  it('lies in no Local Zone, which may be listed too', () => {
    expect(String(Object.values(stack.document.resource['aws_subnet']!)[0]?.['availability_zone'])).toContain(
      'if can(regex("^us-east-1[a-z]$", val))',
    );
  });

  it('lies in a zone that offers its type, or in none', () => {
    const [precondition] = (
      machine['lifecycle'] as { precondition: { condition: string; error_message: string }[] }
    ).precondition;
    expect(precondition?.condition).toMatch(/^\$\{contains\(.*availability_zone\)\}$/);
    expect(precondition?.error_message).toMatch(/set availabilityZone to one of/);
    expect(synthesise({ availabilityZone: 'us-east-1c' }).one('aws_subnet')['availability_zone']).toBe(
      'us-east-1c',
    );
  });
});

describe('readiness', () => {
  const { booted, answered } = stack.document.resource['terraform_data'] as Record<
    'booted' | 'answered',
    {
      depends_on?: string[];
      triggers_replace: object;
      provisioner: { 'local-exec': { environment: object } }[];
    }
  >;

  it('gives the address to a machine only after it has booted, and asks it after that', () => {
    expect(stack.one('aws_eip_association')['depends_on']).toEqual(['terraform_data.booted']);
    expect(answered.depends_on).toEqual([expect.stringMatching(/^aws_eip_association\./)]);
    expect(booted.depends_on ?? []).toEqual([]);
  });

  it('is asked again for another machine or another boot', () => {
    expect(Object.keys(booted.triggers_replace)).toEqual(['instance', 'userData']);
  });

  it('is told where to look and no secret', () => {
    const [provisioner] = booted.provisioner;
    const { environment } = provisioner!['local-exec'];
    expect(environment).toMatchObject({
      BOTSTACK_REPORT_KEY: expect.stringMatching(/^reports\/\$\{aws_instance\.[^}]+\.id\}\.json$/),
      BOTSTACK_SECRET_ARN: expect.stringMatching(/^\$\{aws_secretsmanager_secret\.[^}]+\.arn\}$/),
    });
    expect(JSON.stringify(environment)).not.toMatch(/ephemeral|random_password/);
  });
});

describe('the stack', () => {
  it('tags everything with its name and the tags asked for', () => {
    expect(synthesise({ name: 'team', tags: { owner: 'me' } }).document.provider.aws[0]).toMatchObject({
      default_tags: [{ tags: { owner: 'me', 'botstack:name': 'team' } }],
    });
  });

  it('asks for a Terraform that keeps write-only values out of the state', () => {
    expect(stack.document.terraform['required_version']).toBe('>= 1.11.0');
  });

  it('names no path of the deploying machine outside the gate and the uploads', () => {
    const { resource, output, ...rest } = structuredClone(stack.document);
    delete resource['terraform_data'];
    delete resource['aws_s3_object'];
    delete output['certificate_file'];
    delete output['chat_command'];
    expect(JSON.stringify({ resource, output, ...rest })).not.toMatch(/\/deployer/);
  });
});

describe('the outputs', () => {
  const VALUES = {
    region: 'ap-southeast-1',
    address: '203.0.113.250',
    externalPort: 18789,
    instanceId: 'i-0123456789abcdef0',
    secretName: `${'n'.repeat(20)}-api-key-20261122083316436500000001`,
    bucket: `${'n'.repeat(20)}-artifacts-20261122083316460700000004`,
    consoleLoopbackPort: 8080,
    dashboardName: 'n'.repeat(20),
    certificateFile: `${ROOT}/.artifacts/${'n'.repeat(20)}-certificate.pem`,
  };
  const outputs = describeOutputs(VALUES);

  it('name the certificate from the repository, wherever the command was started', () => {
    const cwd = jest.spyOn(process, 'cwd').mockReturnValue('/elsewhere');
    expect(describeOutputs(VALUES)['certificate_file']?.value).toMatch(
      /^\.artifacts\/n{20}-certificate\.pem$/,
    );
    cwd.mockRestore();
  });

  it('fit in 80 columns, because cdktf breaks longer lines where they end', () => {
    for (const { value } of Object.values(outputs)) {
      for (const line of value.split('\n')) {
        expect(line.length).toBeLessThanOrEqual(74);
      }
    }
  });

  it('are commands that a shell can parse', () => {
    for (const [name, { value }] of Object.entries(outputs)) {
      if (name.endsWith('_command')) {
        expect(spawnSync('sh', ['-n', '-c', value], { encoding: 'utf8' })).toMatchObject({
          status: 0,
          stderr: '',
        });
      }
    }
  });

  it('hand the key to curl by standard input, not by its arguments', () => {
    expect(outputs['chat_command']?.value).toMatch(/curl -sS -H @-/);
    expect(outputs['chat_command']?.value).not.toMatch(/-k\b|--insecure|Bearer \$/);
  });
});
