#!/usr/bin/env python3
"""What the bootstrap needs of AWS, in the Python that every cloud image has.

  imds PATH            print a value of the instance metadata service
  get KEY SHA256 FILE  fetch s3://$BUCKET/KEY to FILE: whole and with that SHA-256, or not at all
  fetch KEY FILE       the same without a hash; exit status 3 where there is no such object
  store KEY FILE       store FILE as s3://$BUCKET/KEY
  report               store the bootstrap's state as s3://$BUCKET/$REPORT_PREFIX$INSTANCE_ID.json

Why not a package: on Debian 12 awscli is 18 packages and 110 MB, takes longer to install than everything else that the
boot installs, and 0.8 s of CPU for each call where this takes 0.1 s; botocore alone is 81 MB. And this one can start the
downloads while apt still works.
"""
import datetime, email.utils, errno, hashlib, hmac, http.client, json, os, re, sys, time, urllib.error, urllib.parse, urllib.request

IMDS = os.environ.get('AWS_EC2_METADATA_SERVICE_ENDPOINT', 'http://169.254.169.254')
# A role that was made a moment ago, a network that is still coming up: five tries in about 20 s.
PAUSES = (1, 2, 5, 12)
# How far S3's clock is ahead of this machine's, once S3 has said so.
skew = datetime.timedelta()


def now():
    return datetime.datetime.now(datetime.timezone.utc) + skew


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def imds(path):
    ask = lambda method, path, **headers: urllib.request.urlopen(
        urllib.request.Request(f'{IMDS}/latest/{path}', method=method, headers=headers), timeout=5).read().decode()
    token = ask('PUT', 'api/token', **{'X-aws-ec2-metadata-token-ttl-seconds': '60'})
    return ask('GET', path, **{'X-aws-ec2-metadata-token': token})


def s3(method, key, body=b''):
    """One request, signed with the instance role's credentials (Signature Version 4). Returns the open response."""
    region, roles = os.environ['REGION'], 'meta-data/iam/security-credentials/'
    role = json.loads(imds(roles + imds(roles).split()[0]))
    suffix = '.cn' if region.startswith('cn-') else ''
    endpoint = os.environ.get('AWS_ENDPOINT_URL') or f'https://s3.{region}.amazonaws.com{suffix}'
    url = urllib.parse.urlsplit(f"{endpoint}/{os.environ['BUCKET']}/{urllib.parse.quote(key)}")
    time_now = now().strftime('%Y%m%dT%H%M%SZ')
    headers = {'content-type': 'application/json', 'host': url.netloc, 'x-amz-content-sha256': sha256(body), 'x-amz-date': time_now, 'x-amz-security-token': role['Token']}
    names, scope = ';'.join(headers), f'{time_now[:8]}/{region}/s3/aws4_request'
    canonical = '\n'.join([method, url.path, '', *(f'{k}:{v}' for k, v in headers.items()), '', names, sha256(body)])
    key = f"AWS4{role['SecretAccessKey']}".encode()
    for part in [*scope.split('/'), f'AWS4-HMAC-SHA256\n{time_now}\n{scope}\n{sha256(canonical.encode())}']:
        key = hmac.digest(key, part.encode(), 'sha256')
    headers['authorization'] = f"AWS4-HMAC-SHA256 Credential={role['AccessKeyId']}/{scope},SignedHeaders={names},Signature={key.hex()}"
    return urllib.request.urlopen(urllib.request.Request(url.geturl(), body or None, headers, method=method), timeout=15)


def get(key, expected, file):
    got, part = hashlib.sha256(), file + '.part'
    try:
        with s3('GET', key) as source, open(part, 'wb') as target:
            while chunk := source.read(1 << 20):
                got.update(chunk)
                target.write(chunk)
            if target.tell() != int(source.headers['content-length']):
                raise OSError(f"connection cut after {target.tell()} of {source.headers['content-length']} bytes")
        if got.hexdigest() != expected:
            sys.exit(f"s3://{os.environ['BUCKET']}/{key} is not what was deployed: expected SHA-256 {expected}, got {got.hexdigest()}; "
                     'delete that object, then run cdktf deploy again')
        os.rename(part, file)
    finally:
        if os.path.exists(part):
            os.remove(part)


def fetch(key, file):
    try:
        data = s3('GET', key).read()
    except urllib.error.HTTPError as error:
        # 403, too: that is how S3 names what is not there to whom may not list the bucket.
        sys.exit(3) if error.code in (403, 404) else None
        raise
    with open(file, 'wb') as target:
        target.write(data)


def store(key, file):
    with open(file, 'rb') as source:
        s3('PUT', key, source.read()).close()


def report():
    env = os.environ
    failed = env['STATUS'] == 'failed'
    log = open(env['LOG'], errors='replace').read().splitlines() if failed else []
    steps = [{'name': n, 'seconds': float(s)} for n, s in (step.split('=') for step in env['STEPS'].split())]
    body = {'schema': 1, 'status': env['STATUS'], 'instanceId': env['INSTANCE_ID'], 'bundleSha256': env['BUNDLE_SHA256'], 'step': env['STEP'],
            'message': env['MESSAGE'], 'log': '\n'.join(log[-40:]), 'steps': steps, 'tlsFingerprintSha256': env['FINGERPRINT'], 'time': now().isoformat()}
    s3('PUT', f"{env['REPORT_PREFIX']}{env['INSTANCE_ID']}.json", json.dumps(body).encode()).close()


def explain(command, error):
    """Cause, remedy, and whether another try may help."""
    global skew
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return str(error), 'the disk is full', False
    if not isinstance(error, urllib.error.HTTPError):
        return str(error), 'check that the subnet reaches it, then run cdktf deploy again', True
    answer = error.read(2000).decode(errors='replace')
    cause = f"{error}: {' '.join(re.findall('<(?:Code|Message)>(.*?)<', answer))}"
    if '<Code>RequestTimeTooSkewed<' in answer:
        minutes = (email.utils.parsedate_to_datetime(error.headers['date']) - now()).total_seconds() / 60
        # A report gets through, to say so. Everything else waits for the right time: certificates and tokens need it.
        if command == 'report':
            skew += datetime.timedelta(minutes=minutes)
        return cause, f"this machine's clock is {abs(minutes):.0f} minutes {'behind' if minutes > 0 else 'ahead of'} S3's: see that its " \
                      'time service (timedatectl) reaches 169.254.169.123, UDP port 123, then run cdktf deploy again', True
    if error.code >= 500:
        return cause, 'a fault of AWS: run cdktf deploy again', True
    # The metadata service's own 404: the instance has no role yet.
    if command == 'get' and not error.url.startswith(f'{IMDS}/latest/') and error.code in (403, 404):
        # Without s3:ListBucket, S3 answers 403 for an object that is not there, and for a policy that is not there yet.
        maybe = ', or the instance role may not read it' * (error.code == 403)
        return cause, f'it was deleted after the deploy{maybe}: run cdktf deploy again', error.code == 403
    return cause, 'check the instance role and its policy, then run cdktf deploy again', True


def main(command, *arguments):
    for pause in (*PAUSES, None):
        try:
            result = {'imds': imds, 'get': get, 'fetch': fetch, 'store': store, 'report': report}[command](*arguments)
            return print(result) if result else None
        except (OSError, http.client.HTTPException) as error:
            cause, remedy, may_pass = explain(command, error)
            if not may_pass:
                break
        if pause:
            time.sleep(pause)
    sys.exit(f"{command} {' '.join(arguments[:1])} failed: {cause}; {remedy}")


main(*sys.argv[1:])
