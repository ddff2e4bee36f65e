/** Drills of the operator's commands, on the machine that was deployed: systemd, nginx and the secret are real. */
import assert from 'node:assert/strict';
import { answers } from '../checks/endpoint';
import { whileAsked } from '../checks/meanwhile';
import type { Subject } from '../checks/subject';
import { type MachineDrill, says } from './drill';

const BOT = '/opt/bot/bin/bot';
const DEPLOYED_MEMORY_MIB = 4096;
/** Enough for the model, and not for two of it. */
const SCARCE_MEMORY_MIB = 1300;

/** The key goes by standard input: command lines can be read by everybody. */
const STOPPED_IN_MID_ANSWER = (key: string) => `curl -sN http://127.0.0.1:8000/api/v1/chat -H @- \\
  -H 'content-type: application/json' -d '{"messages":[{"role":"user","content":"Count to ninety."}],"max_tokens":400,"stream":true}' \\
  >/root/stream <<END &
Authorization: Bearer ${key}
END
for tenth in $(seq 100); do [ -s /root/stream ] && break; sleep 0.1; done
systemctl stop bot; wait; tail -n 2 /root/stream
systemctl show bot -p ActiveState -p Result; systemctl start bot`;

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
    about:
      'upgrade.sh to a version that works and to one that does not; reload, also with little memory; model_loader; restore',
    run: async (report, subject) => {
      await report.check('upgrade.sh runs another version, and nobody goes without meanwhile', async () => {
        const bundle = await nextBundle(subject, '9.0.0');
        const before = await property(subject, 'MainPID');
        const { asked, slowestSeconds } = await whileAsked(subject, subject.apiKey, async () => {
          const { status, text } = await inGuest(
            subject,
            `/opt/bot/bin/upgrade.sh --version 9.0.0 --from ${bundle} && ${BOT} --version`,
          );
          assert.equal(status, 0, text);
          says(
            text,
            /backup: \/var\/backups\/bot\//,
            /took over from the old one without a pause/,
            /version 9\.0\.0 with model \S+ answered/,
            /^bot 9\.0\.0 /m,
          );
        });
        assert.notEqual(await property(subject, 'MainPID'), before);
        assert.equal(await property(subject, 'NRestarts'), '0');
        return `${asked} chats were answered meanwhile, the slowest in ${slowestSeconds} s`;
      });
      await report.check('a version that does not answer never takes over', async () => {
        const bundle = await nextBundle(subject, '9.0.1', 'echo "process.exit(3)" >app/dist/engine/child.js');
        const script = `/opt/bot/bin/upgrade.sh --version 9.0.1 --from ${bundle}; code=$?; ${BOT} --version; exit $code`;
        const before = await property(subject, 'MainPID');
        let cause = '';
        await whileAsked(subject, subject.apiKey, async () => {
          const { status, text } = await inGuest(subject, script);
          assert.equal(status, 1, text);
          says(text, /not upgraded, version 9\.0\.0 goes on and answers/, /^bot 9\.0\.0 /m);
          cause = /not upgraded.*/.exec(text)?.[0] ?? '';
        });
        assert.equal(await property(subject, 'MainPID'), before);
        return cause;
      });
      await report.check(
        'systemctl reload takes a changed configuration, and refuses a broken one',
        async () => {
          const config = '/etc/bot/config.yaml';
          const broken = await inGuest(
            subject,
            `cp -p ${config} /root/config.yaml && echo 'nonsense: 7' >>${config} && systemctl reload bot; code=$?
cp -p /root/config.yaml ${config}; journalctl -u bot --since -1min -o cat | tail -n 20; exit $code`,
          );
          assert.equal(broken.status, 1, broken.text);
          says(broken.text, /^\/etc\/bot\/config\.yaml: `nonsense` is not known/m);
          await whileAsked(subject, subject.apiKey, async () => {
            const { status, text } = await inGuest(
              subject,
              `echo 'cache: { store: memory }' >>${config} && systemctl reload bot; code=$?
journalctl -u bot --since -1min -o cat | tail -n 30; exit $code`,
            );
            assert.equal(status, 0, text);
          });
        },
      );
      await report.check(
        'where the memory does not hold the model twice, requests wait and none is lost',
        async () => {
          const { guest, apiKey } = subject;
          guest.setMemory(SCARCE_MEMORY_MIB);
          try {
            const { asked, slowestSeconds } = await whileAsked(subject, apiKey, async () => {
              const { status, text } = await inGuest(
                subject,
                'systemctl reload bot; code=$?; journalctl -u bot --since -2min -o cat | grep -v req=; exit $code',
              );
              assert.equal(status, 0, text);
              says(text, /the memory does not hold the models twice/);
            });
            return `${asked} chats were answered, the slowest in ${slowestSeconds} s`;
          } finally {
            guest.setMemory(DEPLOYED_MEMORY_MIB);
          }
        },
      );
      await report.check('systemd waits for the answers of a process that took over', async () => {
        const { status, text } = await inGuest(subject, STOPPED_IN_MID_ANSWER(subject.apiKey));
        assert.equal(status, 0, text);
        says(text, /^data: \[DONE\]$/m, /^ActiveState=inactive$/m, /^Result=success$/m);
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

/** Of bot.service. */
async function property({ guest }: Subject, name: string): Promise<string> {
  return (await guest.exec(['systemctl', 'show', 'bot', '-p', name, '--value'])).stdout.trim();
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
