import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { generateKeyPairSync } from 'node:crypto';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parsePlan } from '../../src/plan/index.js';
import { acceptPushes, type Before } from '../support/accept-pushes.js';
import { Cli, run, type Finished } from '../support/cli.js';
import { error, FakeRegistry } from '../support/fake-registry.js';
import { pushPlan } from '../support/push-plan.js';

const folder = mkdtempSync(join(tmpdir(), 'otaflux-plan-commands-'));
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});
const key = join(folder, 'key.pem');
const publicKey = join(folder, 'key.pub');
beforeAll(() => {
  const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  writeFileSync(key, pair.privateKey.export({ type: 'pkcs8', format: 'pem' }));
  writeFileSync(publicKey, pair.publicKey.export({ type: 'spki', format: 'pem' }));
});

describe('commands that change the plan, in a folder', () => {
  let root: string;
  let url: string[];
  let firmware = 0;
  const on = async (...args: string[]): Promise<Finished> => run([...args, ...url]);
  const ok = async (...args: string[]): Promise<string> => {
    const { code, stdout, stderr } = await on(...args);
    expect({ args, code, stderr }).toEqual({ args, code: 0, stderr: '' });
    return stdout;
  };
  const plan = (): Promise<string> => ok('plan', 'show', 'esp32');
  const push = async (version: string): Promise<void> => {
    const path = join(folder, 'firmware.bin');
    writeFileSync(path, `firmware ${firmware++}`);
    await ok('push', 'esp32', version, path);
  };
  beforeEach(async () => {
    root = mkdtempSync(join(folder, 'registry-'));
    url = ['--registry-url', `oci:${root}`];
    await push('1.0.0');
    await push('1.1.0');
  });

  it('are told by a push when everybody is offered the version at once', async () => {
    const path = join(folder, 'firmware.bin');
    const pushed = async (version: string): Promise<string> => {
      writeFileSync(path, version);
      return ok('push', 'esp32', version, path);
    };
    await ok('channel', 'set', 'esp32', 'stable', '--versions', '1.x');
    await ok('channel', 'set', 'esp32', 'beta', '--versions', '*');
    await ok('rollout', 'start', 'esp32', '1.3.0');
    expect(await pushed('1.3.0')).toContain('no rollout of 1.3.0 for beta, so all units there are offered it at once.');
    expect(await pushed('1.4.0')).toContain('no rollout of 1.4.0 for stable, beta, so all units there are');
    // Units get a higher version, or none.
    for (const version of ['1.2.0', '1.3.1']) expect(await pushed(version)).toContain('The plan of esp32 decides');
    await ok('rollout', 'start', 'esp32', '2.0.0', '--channel', 'beta');
    expect(await pushed('2.0.0')).toContain('The plan of esp32 decides');
  });

  it('create the plan with the first change, and raise the serial with each', async () => {
    expect((await on('plan', 'show', 'esp32')).stderr).toMatch(/^otaflux: esp32 has no plan, so every unit/);
    const started = await ok('rollout', 'start', 'esp32', '1.2.0', '--stages', '1%/1d,10%/12h/98%', '--halt', '5%/50');
    expect(started).toMatch(/\nPushed oci:.*esp32:otaflux-plan \(serial 1\)\nDigest: sha256:[0-9a-f]{64}\n$/);
    expect(started).toContain('1.2.0 is not in esp32 yet.');
    const first = parsePlan(await plan(), 'esp32');
    expect(first).toMatchObject({ serial: 1, product: 'esp32', defaultChannel: { name: 'stable' } });
    expect(first.rollouts[0]).toMatchObject({
      version: '1.2.0',
      halt: { share: 0.05, least: 50 },
      stages: [
        { percent: 1, forMs: 86_400_000, until: undefined },
        { percent: 10, forMs: 43_200_000, until: { share: 0.98, least: 20 } },
      ],
    });
    await ok('channel', 'set', 'esp32', 'beta', '--versions', '>=1.0.0', '--with-prereleases');
    expect(await ok('channel', 'list', 'esp32')).toMatch(/beta +>=1\.0\.0 +yes +no +-/);
    await ok('pin', 'esp32', 'lab-*', '--channel', 'beta');
    await ok('pin', 'esp32', '24:6f:28:aa:bb:cc', '1.0.0');
    await ok('yank', 'esp32', '1.1.0');
    const all = parsePlan(await plan());
    expect(all.serial).toBe(5);
    expect(all.units.map(({ text }) => text)).toEqual(['match: "24:6f:28:aa:bb:cc"', 'match: "lab-*"']);
    expect([...all.yanked]).toEqual(['1.1.0']);
    await ok('unyank', 'esp32', '1.1.0');
    await ok('unpin', 'esp32', 'lab-*');
    expect(await ok('promote', 'esp32', '1.1.0', 'beta')).toContain('beta has exactly 1.1.0 from now on');
    expect(await ok('rollback', 'esp32')).toContain('stable goes back from 1.1.0 to 1.0.0.');
    await ok('channel', 'remove', 'esp32', 'beta');
    const last = parsePlan(await plan());
    expect(last.serial).toBe(10);
    expect([...last.channels.keys()]).toEqual(['stable']);
    expect(last.channels.get('stable')?.version).toBe('1.0.0');
    expect(await ok('plan', 'check', 'esp32', '--json')).toContain('"valid":true');
  });

  it('start a rollout in a folder that does not exist, before the first version is pushed', async () => {
    const there = ['--registry-url', `oci:${join(root, 'not', 'there')}`];
    expect(await run(['rollout', 'start', 'new/board', '1.0.0', ...there])).toMatchObject({ code: 0, stderr: '' });
    expect((await run(['plan', 'show', 'new/board', ...there])).stdout).toContain('product: new/board\n');
  });

  it('stop a rollout, go on where it stood, end it, and withdraw its version', async () => {
    await push('1.2.0');
    await ok('rollout', 'start', 'esp32', '1.2.0', '--starts', '2026-01-01T00:00:00Z');
    const rollout = async () => parsePlan(await plan()).rollouts[0];
    await ok('rollout', 'pause', 'esp32');
    const pausedAt = (await rollout())?.pausedAtMs ?? NaN;
    expect((await on('rollout', 'pause', 'esp32')).stderr).toMatch(/is paused already/);
    expect(await ok('rollout', 'resume', 'esp32')).toContain('goes on where it stood');
    const resumed = await rollout();
    expect(resumed?.pausedAtMs).toBe(Infinity);
    expect((resumed?.startsMs ?? 0) - Date.parse('2026-01-01T00:00:00Z')).toBeLessThan(Date.now() - pausedAt + 2_000);
    expect(await on('rollout', 'resume', 'esp32')).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/is not paused.*--after-halt/) as unknown,
    });
    await ok('rollout', 'resume', 'esp32', '1.2.0', '--after-halt');
    expect(await rollout()).toMatchObject({ attempt: 2, key: '1.2.0#2' });
    expect(await ok('rollout', 'abort', 'esp32')).toContain('1.2.0 is not offered to any unit any more.');
    expect(parsePlan(await plan())).toMatchObject({ rollouts: [], yanked: new Set(['1.2.0']) });
    expect((await on('rollout', 'start', 'esp32', '1.2.0')).stderr).toMatch(/1\.2\.0 is yanked\. Run otaflux unyank/);
    await push('1.3.0');
    await ok('rollout', 'start', 'esp32', '1.3.0');
    expect(await ok('rollout', 'finish', 'esp32', '1.3.0')).toContain('Offers 1.3.0 to all units of stable now.');
    expect(parsePlan(await plan()).rollouts).toEqual([]);
  });

  it('keep comments and the order of keys', async () => {
    const text = `# ours\nserial: 7 # raised by hand\n\n# who gets what\nchannels:\n  # everybody\n  stable: { versions: ">=1.0.0" } # the fleet\n  lab: { version: 1.0.0 }\ndefault: stable\nyanked: [] # none yet\n`;
    const path = join(folder, 'commented.yaml');
    writeFileSync(path, text);
    await ok('plan', 'push', 'esp32', '-f', path);
    await ok('promote', 'esp32', '1.1.0', 'lab');
    await ok('yank', 'esp32', '1.0.0');
    const expected = text
      .replace('serial: 7', 'serial: 9')
      .replace('{ version: 1.0.0 }', '{ version: 1.1.0 }')
      .replace('[]', '[ 1.0.0 ]');
    expect(await plan()).toBe(expected);
  });

  it('change a file instead of the registry, for git', async () => {
    const path = join(folder, 'file.yaml');
    expect(await ok('rollout', 'start', 'esp32', '1.1.0', '-f', path)).toContain(`Wrote ${path} (serial 1)`);
    expect((await on('plan', 'show', 'esp32')).code).toBe(1);
    expect(await on('plan', 'check', 'esp32', '-f', path, '--offline')).toMatchObject({ code: 0 });
    expect((await on('plan', 'diff', 'esp32', '-f', path)).code).toBe(1);
    await ok('plan', 'push', 'esp32', '-f', path, '--serial', 'next');
    expect((await on('plan', 'diff', 'esp32', '-f', path)).code).toBe(0);
    expect(await ok('plan', 'push', 'esp32', '-f', path, '--serial', 'next')).toMatch(/^Already there: .*\(serial 1\)/);
    writeFileSync(path, readFileSync(path, 'utf8').replace('5%', '6%'));
    expect(await on('plan', 'push', 'esp32', '-f', path)).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/has serial 1, expected more than 1.*--serial next/) as unknown,
    });
    expect(await ok('plan', 'push', 'esp32', '-f', path, '--serial', 'next', '--json')).toContain('"serial":2');
  });

  it('show a change without making it', async () => {
    expect(await ok('yank', 'esp32', '1.1.0', '--dry-run')).toContain('+yanked: [ 1.1.0 ]');
    expect((await on('plan', 'show', 'esp32')).code).toBe(1);
  });

  it.each([
    [['rollout', 'start', 'esp32', '1.1.0', '--channel', 'stabel'], 1, /no channel stabel \(did you mean stable\?\)/],
    [['rollout', 'start', 'esp32', 'latest'], 2, /^otaflux: version: got "latest", expected a semantic version/],
    [
      ['rollout', 'start', 'esp32', '1.1.0', '--stages', '1%'],
      2,
      /^otaflux: --stages: got "1%", expected PERCENT\/DURATION/,
    ],
    [['rollout', 'start', 'esp32', '1.1.0', '--stages', '10%/1d,1%/1d'], 1, /stages/],
    [['rollout', 'start', 'esp32', '1.1.0', '--rate', 'fast'], 1, /rate/],
    [['rollout', 'pause', 'esp32'], 1, /the plan has no rollout/],
    [['pin', 'esp32', 'a', '9.9.9'], 1, /esp32 has no version 9\.9\.9; the newest version is 1\.1\.0.*--force/],
    [['pin', 'esp32', 'a'], 2, /expected a version or --channel/],
    [['unpin', 'esp32', 'a'], 1, /no rule for a/],
    [['unyank', 'esp32', '1.0.0'], 1, /1\.0\.0 is not yanked/],
    [['promote', 'esp32', '1.1.0', 'beta'], 1, /no channel beta.*otaflux channel set/],
    [['channel', 'set', 'esp32', 'beta'], 2, /no channel beta.*--versions/],
    [['channel', 'set', 'esp32', 'stable', '--versions', 'newest'], 1, /versions/],
    [['channel', 'remove', 'esp32', 'stable'], 1, /stable is the default channel/],
    [['yank', 'esp32', '1.0.0', '--sign-key', '/no/such.key'], 2, /--sign-key: cannot read \/no\/such\.key/],
    [['yank', 'esp32', '1.0.0', '--sign', 'gpg'], 2, /--sign: got "gpg", expected cosign/],
    [['yank', 'esp32', '1.0.0', '--sign', 'cosign'], 2, /this is a folder/],
  ])('explain %j, and change nothing', async (args, code, message) => {
    expect(await on(...args)).toMatchObject({ code, stderr: expect.stringMatching(message) as unknown });
    expect((await on('plan', 'show', 'esp32')).code).toBe(1);
  });

  it('refuse to change a plan that has errors, and edit corrects it', async () => {
    writeFileSync(join(folder, 'bad.yaml'), 'serial: 1\nchanels: {}\n');
    expect((await on('plan', 'check', 'esp32', '-f', join(folder, 'bad.yaml'), '--offline')).stderr).toMatch(
      /line 2, column 1: .*chanels.*channels/,
    );
    expect((await on('plan', 'push', 'esp32', '-f', join(folder, 'bad.yaml'))).code).toBe(1);
    expect((await on('plan', 'show', 'esp32')).code).toBe(1);
  });

  describe('plan edit', () => {
    /** An editor that runs a script over the file. */
    const editor = (script: string): Record<string, string> => {
      const path = join(folder, 'editor.sh');
      writeFileSync(path, `#!/bin/sh\necho x >> ${root}/calls\n${script}\n`);
      chmodSync(path, 0o755);
      return { EDITOR: path };
    };
    const edit = (script: string): Promise<Finished> => run(['plan', 'edit', 'esp32', ...url], editor(script));
    const calls = (): number => readFileSync(join(root, 'calls'), 'utf8').length / 2;

    it('pushes what was saved, with the next serial', async () => {
      expect(await edit(`sed -i 's/"\\*"/">=1.0.0"/' "$1"`)).toMatchObject({ code: 0, stderr: '' });
      expect(await plan()).toMatch(/serial: 1\n[^!]*versions: ">=1\.0\.0"/);
    });

    it('pushes nothing that is unchanged or empty', async () => {
      expect((await edit('true')).stdout).toBe('The plan is unchanged. Nothing was pushed.\n');
      expect((await edit('echo > "$1"')).stdout).toBe('The plan is unchanged. Nothing was pushed.\n');
      expect((await on('plan', 'show', 'esp32')).code).toBe(1);
    });

    it('opens a plan with errors again, and gives up when it is saved again as it is', async () => {
      const once = `if [ $(wc -l < ${root}/calls) = 1 ]; then sed -i 's/default: stable/default: stabel/' "$1"; else grep -q '^#! .*stabel' "$1" || exit 3; sed -i 's/stabel/stable/; s/"\\*"/">=1.0.0"/' "$1"; fi`;
      expect(await edit(once)).toMatchObject({ code: 0 });
      expect(calls()).toBe(2);
      const given = await edit(`sed -i 's/default: stable/default: stabel/' "$1"`);
      expect(given).toMatchObject({
        code: 1,
        stderr: expect.stringMatching(/stabel.*Your text is in (\S+)/) as unknown,
      });
      const kept = /Your text is in (\S+)\n/.exec(given.stderr)?.[1] ?? '';
      expect(readFileSync(kept, 'utf8')).toContain('default: stabel');
      rmSync(join(kept, '..'), { recursive: true });
      expect(await edit('exit 1')).toMatchObject({ code: 2 });
      expect(await plan()).toMatch(/serial: 1\n/);
    });
  });

  it('sign the plan, in both forms, as the server wants it', async () => {
    const verified = ['--plan-pub-key-path', publicKey];
    await ok('yank', 'esp32', '1.1.0');
    expect((await on('plan', 'check', 'esp32', ...verified)).stderr).toMatch(/the server refuses it: .*signature/);
    await ok('yank', 'esp32', '1.0.0', '--sign-key', key);
    expect(await ok('plan', 'check', 'esp32', ...verified)).toMatch(/is right: serial 2/);
    await ok('unyank', 'esp32', '1.0.0', '--sign-key', key, '--sign-form', 'legacy');
    expect(await ok('plan', 'check', 'esp32', ...verified)).toMatch(/is right: serial 3/);
    const path = join(folder, 'signed.bin');
    writeFileSync(path, 'signed');
    expect(await ok('push', 'esp32', '2.0.0', path, '--sign-key', key)).toContain('Signed with');
    expect((await on('verify', 'esp32', '--cosign-pub-key-path', publicKey)).stdout).toMatch(
      /2\.0\.0 .*trusted +bundle/,
    );
  });

  it('end with plan delete', async () => {
    await ok('yank', 'esp32', '1.1.0');
    expect((await on('plan', 'delete', 'esp32')).stderr).toMatch(/--yes is missing/);
    expect(await ok('plan', 'delete', 'esp32', '--yes')).toMatch(/^Deleted esp32:otaflux-plan\./);
    expect((await on('plan', 'delete', 'esp32', '--yes')).code).toBe(1);
  });

  it('explain a decision without a server', async () => {
    await ok('pin', 'esp32', 'a', '1.0.0');
    const { code, stdout, stderr } = await on('why', 'esp32', '--unit', 'a', '--running', '1.1.0');
    expect({ code, stdout }).toEqual({
      code: 0,
      stdout: expect.stringMatching(
        /rule match: "a"[^]*decision +1\.0\.0 is offered: the plan names this version for the unit/,
      ) as unknown,
    });
    expect(stderr).toMatch(/^otaflux: decided without a server/);
    const other = JSON.parse((await on('why', 'esp32', '--unit', 'b', '--json')).stdout) as { offered: string };
    expect(other.offered).toBe('1.1.0');
  });
});

describe('commands that change the plan, in a registry', () => {
  const registry = new FakeRegistry();
  let url: string[];
  beforeAll(async () => {
    await registry.start();
    url = ['--registry-url', registry.url];
  });
  afterAll(() => registry.stop());
  beforeEach(() => {
    registry.push('esp32', '1.0.0', Buffer.from('one'));
    pushPlan(registry, 'esp32', 'serial: 4\nchannels:\n  stable: { versions: "*" }\n');
  });
  afterEach(() => {
    registry.remove('esp32');
    registry.hasReferrers = false;
  });
  const yank = (...args: string[]): Promise<Finished> => run(['yank', 'esp32', '1.0.0', ...url, ...args]);
  const planText = (): string => {
    const { tags, manifests, blobs } = registry.repository('esp32');
    const { layers } = JSON.parse(manifests.get(tags.get('otaflux-plan') ?? '')?.bytes.toString() ?? '') as {
      layers: { digest: string }[];
    };
    return blobs.get(layers[0]?.digest ?? '')?.toString() ?? '';
  };
  const isTagged = ({ path }: { path: string }): boolean => path === 'manifests/otaflux-plan';

  it.each([[true], [false]])(
    'move the tag after the signature was stored (referrers API: %s)',
    async (hasReferrers) => {
      registry.hasReferrers = hasReferrers;
      let listed = 0;
      const writes = acceptPushes(registry, 'esp32', (write) => {
        if (isTagged(write)) listed = registry.repository('esp32').manifests.size;
        return false;
      });
      expect(await yank('--sign-key', key)).toMatchObject({ code: 0, stderr: '' });
      expect(writes.findLastIndex(isTagged)).toBe(writes.length - 1);
      // The firmware, both plans, the signature, and its list where the registry has none.
      expect(listed).toBe(hasReferrers ? 4 : 5);
      expect((await run(['plan', 'check', 'esp32', ...url, '--plan-pub-key-path', publicKey])).code).toBe(0);
    },
  );

  it('push the older form of an artifact to a registry that refuses artifactType', async () => {
    const { manifests } = registry.repository('esp32');
    let refused = 0;
    acceptPushes(registry, 'esp32', async (write, response, request) => {
      if (!write.path.startsWith('manifests/')) return false;
      // The body was read: the fake keeps it only when it accepts it.
      const isNew = refused === 0 && request.method === 'PUT';
      if (isNew) {
        refused++;
        error(response, 400, 'MANIFEST_INVALID');
      }
      return Promise.resolve(isNew);
    });
    expect(await yank()).toMatchObject({ code: 0, stderr: '' });
    const digest = registry.repository('esp32').tags.get('otaflux-plan') ?? '';
    const manifest = JSON.parse(manifests.get(digest)?.bytes.toString() ?? '') as {
      artifactType?: string;
      config: { mediaType: string };
    };
    expect(manifest).toMatchObject({ config: { mediaType: 'application/vnd.otaflux.plan.v1' } });
    expect(manifest.artifactType).toBeUndefined();
    expect((await run(['plan', 'check', 'esp32', ...url])).code).toBe(0);
  });

  it.each(['before', 'after'])('refuse when somebody else pushes a plan just %s the tag is moved', async (when) => {
    const theirs = 'serial: 5\nyanked: [1.0.0]\nchannels:\n  stable: { versions: "*" }\n';
    let isDone = false;
    const change: Before = (write) => {
      const isMoment = when === 'before' ? write.method === 'POST' : isTagged(write);
      if (!isMoment || isDone) return false;
      isDone = true;
      if (when === 'before') pushPlan(registry, 'esp32', theirs);
      else
        setTimeout(() => {
          pushPlan(registry, 'esp32', theirs);
        }, 20);
      return false;
    };
    acceptPushes(registry, 'esp32', change);
    const { code, stderr } = await yank();
    expect({ code, stderr }).toEqual({
      code: 1,
      stderr: expect.stringMatching(
        /(?:another plan was pushed|the plan was changed) .*Run the command again/,
      ) as unknown,
    });
    expect(planText()).toBe(theirs);
  });

  it('of two editors at once keep the change of one, and refuse the other', async () => {
    // Both have read the plan before one of them pushes.
    let held: (() => void)[] = [];
    acceptPushes(registry, 'esp32', async ({ method }) => {
      if (method !== 'POST' || held.length >= 2) return false;
      await new Promise<void>((resolve) => {
        held.push(resolve);
        if (held.length === 2) for (const release of held) release();
      });
      return false;
    });
    const both = [
      ['yank', 'esp32', '1.0.0'],
      ['pin', 'esp32', 'a', '1.0.0'],
    ].map((args) => new Cli([...args, ...url]));
    const codes = (await Promise.all(both.map(({ finished }) => finished))).map(({ code }) => code);
    held = [];
    expect(codes.sort()).toEqual([0, 1]);
    expect(parsePlan(planText()).serial).toBe(5);
  });

  it.each([
    ['POST', 'blobs/uploads/', /The plan in the registry was not changed/],
    ['PUT', 'blobs/uploads/', /The plan in the registry was not changed/],
    ['PUT', 'manifests/sha256:', /not changed/],
    ['PUT', 'manifests/otaflux-plan', /not changed, or the answer was lost\. Run the command again/],
  ])('say what a failure of %s %s has left, and can be repeated', async (method, path, message) => {
    const before = planText();
    acceptPushes(registry, 'esp32', (write, response) => {
      if (write.method !== method || !write.path.startsWith(path)) return false;
      error(response, 403, 'DENIED');
      return true;
    });
    expect(await yank('--sign-key', key)).toMatchObject({ code: 1, stderr: expect.stringMatching(message) as unknown });
    expect(planText()).toBe(before);
    acceptPushes(registry, 'esp32');
    expect(await yank('--sign-key', key)).toMatchObject({ code: 0, stderr: '' });
    expect(parsePlan(planText())).toMatchObject({ serial: 5, yanked: new Set(['1.0.0']) });
  });

  it('say that a plan was pushed if it cannot be read back', async () => {
    acceptPushes(registry, 'esp32');
    const accept = registry.fault;
    let isPushed = false;
    registry.fault = (request, response, kind, step) => {
      if (request.method === 'PUT' && request.url?.endsWith('/otaflux-plan')) isPushed = true;
      if (isPushed && request.method !== 'PUT') {
        error(response, 403, 'DENIED');
        return true;
      }
      return accept(request, response, kind, step);
    };
    expect(await yank()).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/was pushed, but could not be read back/) as unknown,
    });
    expect(parsePlan(planText()).serial).toBe(5);
  });

  it('ask a server that is not there, and say so', async () => {
    const closed = ['--url', 'http://127.0.0.1:9'];
    expect((await run(['rollout', 'status', 'esp32', ...closed])).code).toBe(3);
    expect((await run(['why', 'esp32', '--unit', 'a', ...closed])).code).toBe(3);
    expect((await run(['rollout', 'resume', 'esp32', ...closed, ...url])).code).toBe(3);
  });
});
