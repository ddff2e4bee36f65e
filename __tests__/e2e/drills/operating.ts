/** Drills of the operator's commands, on the machine that was deployed: systemd, nginx and the secret are real. */
import assert from 'node:assert/strict';
import { answers } from '../checks/endpoint';
import type { Subject } from '../checks/subject';
import { type MachineDrill, says } from './drill';

const BOT = '/opt/bot/bin/bot';

export const operatingDrills: MachineDrill[] = [
  {
    kind: 'machine',
    name: 'doctor',
    about: 'bot doctor on a machine that is well, and without nginx',
    run: async (report, subject) => {
      await report.check('bot doctor finds nothing wrong with a machine that is well', async () => {
        const { status, text } = await inGuest(subject, `${BOT} doctor`);
        assert.equal(status, 0, text);
        says(
          text,
          /ok +service +version \S+ is ready/,
          /ok +model/,
          /ok +API key +read from arn:/,
          /ok +nginx/,
        );
        return text.trim().split('\n').at(-1);
      });
      await report.check('bot doctor names what is wrong, and the remedy', async () => {
        const script = `systemctl stop nginx; python3 -m http.server 443 >/dev/null 2>&1 & other=$!
for second in $(seq 60); do [ -z "$(ss -Hltn 'sport = :443')" ] || break; sleep 1; done
${BOT} doctor; code=$?
kill $other; wait $other; systemctl start nginx; exit $code`;
        const { status, text } = await inGuest(subject, script);
        assert.equal(status, 1, text);
        says(text, /FAIL port 443 +held by python3 \(process \d+\)/, /sudo kill \d+/, /FAIL nginx/);
      });
    },
  },
  {
    kind: 'machine',
    name: 'upgrade',
    about: 'upgrade.sh to a version that works and to one that does not; model_loader; restore',
    run: async (report, subject) => {
      await report.check('upgrade.sh runs another version, and the endpoint answers', async () => {
        const bundle = await nextBundle(subject, '9.0.0');
        const { status, text } = await inGuest(
          subject,
          `/opt/bot/bin/upgrade.sh --version 9.0.0 --from ${bundle} && ${BOT} --version`,
        );
        assert.equal(status, 0, text);
        says(
          text,
          /backup: \/var\/backups\/bot\//,
          /version 9\.0\.0 with model \S+ answered/,
          /^bot 9\.0\.0 /m,
        );
        assert.ok(await answers(subject, subject.apiKey), 'the endpoint does not answer');
      });
      await report.check('a version that does not answer is taken back by itself', async () => {
        const bundle = await nextBundle(subject, '9.0.1', 'echo "process.exit(3)" >app/dist/engine/child.js');
        const script = `/opt/bot/bin/upgrade.sh --version 9.0.1 --from ${bundle}; code=$?; ${BOT} --version; exit $code`;
        const { status, text } = await inGuest(subject, script);
        assert.equal(status, 1, text);
        says(text, /not upgraded, version 9\.0\.0 is back and answers/, /^bot 9\.0\.0 /m);
        assert.ok(await answers(subject, subject.apiKey), 'the endpoint does not answer');
        return /not upgraded.*/.exec(text)?.[0];
      });
      await report.check('model_loader serves another file', async () => {
        const script =
          'cp /opt/bot/models/*.gguf /root/other.gguf && /opt/bot/bin/model_loader --path /root/other.gguf --format gguf';
        const { status, text } = await inGuest(subject, script);
        assert.equal(status, 0, text);
        says(text, /with model other answered/);
      });
      await report.check('a backup brings back what was lost', async () => {
        const script = `file=$(${BOT} backup | head -n 1) && rm -r /etc/bot/config.yaml /etc/bot/tls && ${BOT} restore "$file" && stat -c '%a %U:%G' /etc/bot/config.yaml "$file"`;
        const { status, text } = await inGuest(subject, script);
        assert.equal(status, 0, text);
        says(text, /with model other answered/, /^640 root:bot$/m, /^600 root:root$/m);
        assert.ok(await answers(subject, subject.apiKey), 'the endpoint does not answer');
      });
    },
  },
];

async function inGuest({ guest }: Subject, script: string): Promise<{ status: number; text: string }> {
  const { status, stdout, stderr } = await guest.shell(script, { allowFailure: true, timeoutMs: 240_000 });
  return { status, text: stdout + stderr };
}

/** A bundle of the release that runs, under another version; `alter` is shell text that spoils it. */
async function nextBundle({ guest }: Subject, version: string, alter = ':'): Promise<string> {
  const script = `set -e
rm -rf /root/next && cp -a "$(readlink -f /opt/bot/current)" /root/next && cd /root/next
sed -i 's/"version": *"[^"]*"/"version": "${version}"/' VERSION app/package.json
${alter}
tar -c . | gzip -1 >/root/next.tar.gz && rm -rf /root/next
digits=$(sha256sum /root/next.tar.gz | cut -c1-12)
mv /root/next.tar.gz "/root/bot-${version}-linux-x64-$digits.tar.gz"
echo "/root/bot-${version}-linux-x64-$digits.tar.gz"`;
  return (await guest.shell(script, { timeoutMs: 120_000 })).stdout.trim();
}
