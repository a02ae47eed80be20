import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { firmwareBytes } from '../support/bytes.js';
import { error, FakeRegistry, INDEX, json, MANIFEST, type Fault } from '../support/fake-registry.js';
import { pushPlan, type PlanPush } from '../support/push-plan.js';
import { dsseBundle, newKey, putBundles, signBundle, statementFor } from '../support/sign.js';
import { TestService, until, type TestOptions } from '../support/service.js';

const ours = newKey();
const theirs = newKey();

const plan = (serial: number | string, range: string, more = ''): string =>
  `serial: ${serial}\nchannels:\n  stable: { versions: "${range}" }\ndefault: stable\n${more}`;
const LOOSE = '>=1.0.0';

describe('a plan that must not be taken', () => {
  const registry = new FakeRegistry();
  const services: TestService[] = [];

  beforeAll(() => registry.start());
  afterAll(() => registry.stop());
  beforeEach(() => {
    for (const version of ['1.0.0', '2.0.0']) pushFirmware(version);
  });
  afterEach(async () => {
    for (const service of services.splice(0)) await service.stop();
    registry.remove('fw');
    registry.remove('x');
    registry.fault = () => false;
  });

  const pushFirmware = (version: string): void => {
    signBundle(registry, 'fw', registry.push('fw', version, firmwareBytes(100 + version.length)), ours);
  };
  const signed = (yaml: string | Buffer, options: PlanPush = {}, key = ours, name = 'fw'): string => {
    const digest = pushPlan(registry, name, yaml, options);
    signBundle(registry, name, digest, key);
    return digest;
  };
  const start = async (options: TestOptions = {}): Promise<TestService> => {
    const service = await TestService.start({
      REGISTRY_URL: registry.url,
      REGISTRY_TIMEOUT: '1s',
      REFRESH_INTERVAL: '0',
      COSIGN_PUB_KEY: ours.pem,
      ...options,
    });
    services.push(service);
    return service;
  };
  const manifestOf = (digest: string): Record<string, unknown> =>
    JSON.parse(registry.repository('fw').manifests.get(digest)?.bytes.toString() ?? '{}') as Record<string, unknown>;
  const putSigned = (body: object, mediaType = MANIFEST): void => {
    signBundle(registry, 'fw', registry.putManifest('fw', 'otaflux-plan', body, mediaType), ours);
  };

  const bad: [string, () => void][] = [
    ['unsigned', () => pushPlan(registry, 'fw', plan(6, LOOSE))],
    ['signed with another key', () => signed(plan(6, LOOSE), {}, theirs)],
    [
      'with the signature of another plan',
      () => {
        const digest = pushPlan(registry, 'fw', plan(6, LOOSE));
        putBundles(registry, 'fw', digest, [dsseBundle(statementFor(pushPlan(registry, 'x', plan(7, LOOSE))), ours)]);
      },
    ],
    [
      'with a signature that is none',
      () => {
        putBundles(registry, 'fw', pushPlan(registry, 'fw', plan(6, LOOSE)), [{}]);
      },
    ],
    ['with a lower serial', () => signed(plan(4, LOOSE))],
    ['with the serial 0', () => signed(plan(0, LOOSE))],
    ['with the same serial and other content', () => signed(plan(5, LOOSE))],
    ['with a serial below zero', () => signed(plan(-1, LOOSE))],
    ['with a broken serial', () => signed(plan(6.5, LOOSE))],
    ['with a serial in words', () => signed(plan('six', LOOSE))],
    ['with a serial beyond every number', () => signed(plan('1e999', LOOSE))],
    ['without a serial', () => signed('channels:\n  stable: { versions: "*" }\n')],
    ['of another product', () => signed(plan(6, LOOSE, 'product: other\n'))],
    ['that is empty', () => signed('')],
    ['that is a list', () => signed('- serial: 6\n')],
    ['that is no YAML', () => signed('serial: 6\nchannels: {{{')],
    ['that is no text', () => signed(Buffer.from([0xff, 0xfe, 0, 1, 2, 3, 0x80]))],
    ['with an unknown key', () => signed(plan(6, LOOSE, 'rollout: []\n'))],
    ['with a key twice', () => signed(plan(6, LOOSE, 'serial: 7\n'))],
    ['with a range that is none', () => signed(plan(6, 'newest'))],
    ['with a default that is no channel', () => signed(plan(6, LOOSE).replace('default: stable', 'default: beta'))],
    ['with a stage that shrinks', () => signed(plan(6, LOOSE, stages('50', '10')))],
    ['with aliases that explode', () => signed(bomb())],
    ['that is huge', () => signed(plan(6, LOOSE, `# ${'x'.repeat(300_000)}\n`))],
    ['with another artifact type', () => signed(plan(6, LOOSE), { artifactType: 'application/x' })],
    ['without an artifact type', () => signed(plan(6, LOOSE), { artifactType: undefined })],
    ['with another type of layer', () => signed(plan(6, LOOSE), { layerType: 'application/yaml' })],
    ['with two layers', () => signed(plan(6, LOOSE), { layers: 2 })],
    ['without a layer', () => signed(plan(6, LOOSE), { layers: 0 })],
    [
      'that is firmware',
      () => {
        signBundle(registry, 'fw', registry.push('fw', 'otaflux-plan', firmwareBytes(5)), ours);
      },
    ],
    [
      'that is an index',
      () => {
        putSigned({ schemaVersion: 2, mediaType: INDEX, manifests: [] }, INDEX);
      },
    ],
    [
      'that is no manifest',
      () => {
        putSigned({ schemaVersion: 1 });
      },
    ],
    [
      'whose layer is nowhere',
      () => {
        const digest = signed(plan(6, LOOSE));
        const [layer] = manifestOf(digest).layers as { digest: string }[];
        registry.repository('fw').blobs.delete(layer?.digest ?? '');
      },
    ],
    [
      'whose bytes were changed',
      () => {
        const digest = signed(plan(6, LOOSE));
        const [layer] = manifestOf(digest).layers as { digest: string }[];
        registry.repository('fw').blobs.set(layer?.digest ?? '', Buffer.from(plan(7, LOOSE)));
      },
    ],
    [
      'whose layer claims to be small',
      () => {
        const body = manifestOf(signed(plan(6, LOOSE, `# ${'x'.repeat(300_000)}\n`)));
        putSigned({ ...body, layers: (body.layers as object[]).map((layer) => ({ ...layer, size: 100 })) });
      },
    ],
    ['whose tag leads nowhere', () => registry.repository('fw').tags.set('otaflux-plan', `sha256:${'0'.repeat(64)}`)],
  ];

  it.each(bad)('leaves the last good one in force: %s', async (_name, push) => {
    signed(plan(5, '<1.1.0'));
    const service = await start();
    expect(await service.versionOf('fw')).toBe('1.0.0');
    push();
    expect(await service.versionOf('fw')).toBe('1.0.0');
    // Nor does it give away what a plan that was meant to be taken might hold back.
    pushFirmware('1.0.1');
    expect(await service.versionOf('fw')).toBe('1.0.0');
    const [rejected, ...more] = service.events('plan.rejected');
    expect(more).toEqual([]);
    expect(rejected).toMatchObject({ level: 'error', device: 'fw' });
    expect(await service.metrics()).toContain('otaflux_plans_rejected 1');
    expect(await service.metrics()).toContain('otaflux_plan_serial{device_id="fw"} 5');
    signed(plan(8, LOOSE));
    expect(await service.versionOf('fw')).toBe('2.0.0');
    expect(await service.metrics()).toContain('otaflux_plans_rejected 0');
  });

  const asFirst = bad.filter(([name]) => !/lower serial|same serial|serial 0/.test(name));
  it.each(asFirst)('offers nothing at a first start: %s', async (_name, push) => {
    push();
    const service = await start();
    expect([404, 502]).toContain(await service.versionOf('fw'));
    expect(service.events('plan.rejected')).toHaveLength(1);
    expect(await service.metrics()).toContain('otaflux_plans_rejected 1');
    signed(plan(8, LOOSE));
    await until(async () => (await service.versionOf('fw')) === '2.0.0', 'the good plan');
  });

  it('says what was expected, and what to do', async () => {
    signed(plan(5, '<1.1.0'));
    const service = await start();
    await service.versionOf('fw');
    signed(plan(4, LOOSE));
    await service.versionOf('fw');
    expect(service.events('plan.rejected')[0]).toMatchObject({
      reason: 'its serial is 4, and a plan with serial 5 was seen before. Push the plan with serial 6 or higher',
    });
  });

  it('does not take back what devices get when the first plan of a product is bad', async () => {
    const service = await start();
    expect(await service.versionOf('fw')).toBe('2.0.0');
    const digest = pushPlan(registry, 'fw', plan(1, '<1.1.0'));
    pushFirmware('3.0.0');
    expect(await service.versionOf('fw')).toBe('2.0.0');
    expect(service.events('release.withdrawn')).toEqual([]);
    signBundle(registry, 'fw', digest, ours);
    await until(async () => (await service.versionOf('fw')) === '1.0.0', 'the plan, signed');
  });

  it('is not taken after the good one was deleted', async () => {
    const old = signed(plan(4, '<1.1.0'));
    const service = await start();
    await service.versionOf('fw');
    signed(plan(5, '<1.1.0'));
    await service.versionOf('fw');
    registry.repository('fw').tags.delete('otaflux-plan');
    expect(await service.versionOf('fw')).toBe('2.0.0');
    registry.repository('fw').tags.set('otaflux-plan', old);
    expect(await service.versionOf('fw')).toBe('2.0.0');
    expect(service.events('plan.rejected')).toHaveLength(1);
  });

  it('freezes everything while the registry refuses it', async () => {
    signed(plan(5, LOOSE));
    const service = await start();
    expect(await service.versionOf('fw')).toBe('2.0.0');
    registry.fault = (request, response) => {
      if (!request.url?.endsWith('/manifests/otaflux-plan')) return false;
      error(response, 403, 'DENIED');
      return true;
    };
    pushFirmware('3.0.0');
    expect(await service.versionOf('fw')).toBe('2.0.0');
    expect(service.events('refresh.failed')).toMatchObject([{ code: 'denied' }]);
    expect(service.events('plan.ended')).toEqual([]);
    registry.fault = () => false;
    await until(async () => (await service.versionOf('fw')) === '3.0.0', 'the plan');
  });

  it('does not end because the list of tags lacks it', async () => {
    signed(plan(5, '<1.1.0'));
    const service = await start();
    expect(await service.versionOf('fw')).toBe('1.0.0');
    registry.fault = (_request, response, kind) => {
      if (kind !== 'tags') return false;
      json(response, 200, { name: 'fw', tags: ['1.0.0', '2.0.0'] });
      return true;
    };
    expect(await service.versionOf('fw')).toBe('1.0.0');
    expect(service.events('plan.ended')).toEqual([]);
    expect(service.events('refresh.failed')).toMatchObject([{ code: 'protocol' }]);
  });

  it('is the plan of another product, if plans must name theirs', async () => {
    signed(plan(5, '<1.1.0', 'product: fw\n'));
    const service = await start({ SIGNED_VERSION: 'require' });
    // The firmware of these tests names no version.
    await service.versionOf('fw');
    expect(service.events('plan.rejected')).toEqual([]);
    signed(plan(6, '<1.1.0'));
    await until(async () => {
      await service.versionOf('fw');
      return service.events('plan.rejected').length > 0;
    }, 'the refusal');
    expect(service.events('plan.rejected')[0]?.reason).toContain('wrong-product: the plan names no product');
  });

  describe('keys of its own (--plan-pub-key-path)', () => {
    const folder = mkdtempSync(join(tmpdir(), 'otaflux-plan-keys-'));
    const file = join(folder, 'plan.pub');
    afterAll(() => {
      rmSync(folder, { recursive: true });
    });

    it('must sign it, and no key of firmware', async () => {
      writeFileSync(file, theirs.pem);
      signed(plan(5, '<1.1.0'));
      const service = await start({ PLAN_PUB_KEY_PATH: file });
      expect([404, 502]).toContain(await service.versionOf('fw'));
      expect(service.events('plan.rejected')[0]?.reason).toContain('Check --plan-pub-key-path');
      signed(plan(6, '<1.1.0'), {}, theirs);
      await until(async () => (await service.versionOf('fw')) === '1.0.0', 'the plan');
    });

    it('are read again, and a key that is taken away acts at once', async () => {
      writeFileSync(file, theirs.pem);
      signed(plan(6, '<1.1.0'), {}, theirs);
      const service = await start({ PLAN_PUB_KEY_PATH: file, REFRESH_INTERVAL: '1h' });
      expect(await service.versionOf('fw')).toBe('1.0.0');
      writeFileSync(file, ours.pem);
      await until(async () => (await service.versionOf('fw')) !== '1.0.0', 'the key to lose its trust');
      expect([404, 502]).toContain(await service.versionOf('fw'));
      expect(service.events('plan.rejected')[0]?.reason).toContain('no longer trusted');
      signed(plan(7, '<1.1.0'), {}, ours);
      await until(async () => (await service.versionOf('fw')) === '1.0.0', 'the plan with the new key');
    });

    it('make plans need a signature, also if firmware needs none', async () => {
      writeFileSync(file, theirs.pem);
      pushPlan(registry, 'fw', plan(6, '<1.1.0'));
      const service = await start({ PLAN_PUB_KEY_PATH: file, COSIGN_PUB_KEY: '' });
      expect([404, 502]).toContain(await service.versionOf('fw'));
    });
  });

  const steps: [string, (url: string) => boolean][] = [
    ['the list of tags', (url) => url.includes('/tags/list')],
    ['the tag of the plan', (url) => url.endsWith('/manifests/otaflux-plan')],
    ['the manifest of the plan', (url) => url.endsWith(`/manifests/${next.manifest}`)],
    ['the content of the plan', (url) => url.endsWith(`/blobs/${next.blob}`)],
    ['the version that the plan names', (url) => url.endsWith('/manifests/1.0.0')],
    ['the newest version', (url) => url.endsWith('/manifests/2.0.0')],
  ];
  const next = { manifest: '', blob: '' };

  describe.each([503, 403])('the registry answers %i', (status) => {
    it.each(steps)('and what was served stays when it does so for %s', async (_name, concerns) => {
      signed(plan(5, '<2.0.0', 'units: [{ match: "x", version: 2.0.0 }]\n'));
      const service = await start();
      expect(await service.versionOf('fw')).toBe('1.0.0');
      next.manifest = signed(plan(6, LOOSE, 'units: [{ match: "x", version: 1.0.0 }]\n'));
      next.blob = (manifestOf(next.manifest).layers as { digest: string }[])[0]?.digest ?? '';
      const fault: Fault = (request, response) => {
        if (!concerns(request.url ?? '')) return false;
        error(response, status, 'FAILED');
        return true;
      };
      registry.fault = fault;
      expect(await service.versionOf('fw')).toBe('1.0.0');
      expect(service.events('plan.ended')).toEqual([]);
      registry.fault = () => false;
      await until(async () => (await service.versionOf('fw')) === '2.0.0', 'the new plan');
    });
  });

  function stages(...percents: string[]): string {
    const list = percents.map((percent) => `{ percent: ${percent}, for: 1d }`).join(', ');
    return `rollouts:\n  - { version: 2.0.0, channels: [stable], starts: 2020-01-01T00:00:00Z, stages: [${list}] }\n`;
  }

  /** A billion entries, if it is expanded. */
  function bomb(): string {
    const lines = ['a: &a [x, x, x, x, x, x, x, x, x, x]'];
    for (let i = 1; i < 9; i++) {
      const [name, before] = [String.fromCharCode(97 + i), String.fromCharCode(96 + i)];
      lines.push(`${name}: &${name} [${Array.from({ length: 10 }, () => `*${before}`).join(', ')}]`);
    }
    return `serial: 6\n${lines.join('\n')}\nyanked: *i\n`;
  }
});
