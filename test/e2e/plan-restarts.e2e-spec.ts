import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ReleaseService } from '../../src/firmware/index.js';
import { PlanSelector } from '../../src/plan/index.js';
import { ClockStandings } from '../../src/firmware/clock-standings.js';
import { firmwareBytes } from '../support/bytes.js';
import { FakeRegistry } from '../support/fake-registry.js';
import { pushPlan } from '../support/push-plan.js';
import { newKey, signBundle, signLegacy } from '../support/sign.js';
import { TestService, until, type TestOptions } from '../support/service.js';

const ours = newKey();
const STARTED = new Date(Date.now() - 3_600_000).toISOString();

/** Half of the units may take 2.0.0, and lab units get 1.5.0. */
const PLAN = `serial: 5
channels:
  stable: { versions: ">=1.0.0" }
default: stable
units:
  - { match: "lab-*", version: 1.5.0 }
rollouts:
  - { version: 2.0.0, channels: [stable], starts: ${STARTED}, stages: [{ percent: 50, for: 300d }] }
`;
const UNITS = Array.from({ length: 40 }, (_, i) => (i % 10 === 0 ? `lab-${i}` : `unit-${i}`));

describe('a restart of a server with a plan', () => {
  const registry = new FakeRegistry();
  let folder: string;
  let service: TestService;

  beforeAll(() => registry.start());
  afterAll(() => registry.stop());
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'otaflux-plan-restart-'));
  });
  afterEach(async () => {
    await service.stop();
    registry.remove('fw');
    await registry.stop();
    await registry.start();
    rmSync(folder, { recursive: true });
  });

  const start = async (options: TestOptions = {}): Promise<void> => {
    service = await TestService.start({
      REGISTRY_URL: registry.url,
      REGISTRY_TIMEOUT: '1300ms',
      REFRESH_INTERVAL: '0',
      CACHE_DIR: folder,
      COSIGN_PUB_KEY: ours.pem,
      ...options,
    });
  };
  const pushAll = (sign = signBundle): void => {
    for (const version of ['1.0.0', '1.5.0', '2.0.0'])
      sign(registry, 'fw', registry.push('fw', version, firmwareBytes(version.charCodeAt(2))), ours);
    sign(registry, 'fw', pushPlan(registry, 'fw', PLAN), ours);
  };
  /** The version of each unit, by the service's own catalogue. */
  const decisions = async (): Promise<Record<string, string | undefined>> => {
    const releases = service.service.app.get(ReleaseService, { strict: false });
    await releases.refresh('fw').catch(() => undefined);
    const catalogue = releases.catalogue('fw');
    if (!catalogue) return {};
    const selector = new PlanSelector();
    const found: Record<string, string | undefined> = {};
    for (const unit of UNITS) {
      const asking = { product: 'fw', unit };
      const { release } = selector.select(catalogue, asking, Date.now(), { rollouts: new ClockStandings() });
      found[unit] = release && (await releases.deliver(release)).version;
    }
    return found;
  };
  const kept = (): string => {
    const [name] = readdirSync(join(folder, 'releases'));
    return join(folder, 'releases', name ?? 'none');
  };

  it.each([
    ['bundles', signBundle],
    ['legacy signatures', signLegacy],
  ])('decides as before without the registry: %s', async (_name, sign) => {
    pushAll(sign);
    await start();
    expect(await service.versionOf('fw')).toBe('1.5.0');
    const before = await decisions();
    expect(new Set(Object.values(before))).toEqual(new Set(['1.5.0', '2.0.0']));
    await service.stop();
    await registry.stop();
    await start();
    expect(await service.versionOf('fw')).toBe('1.5.0');
    expect(await decisions()).toEqual(before);
    expect(service.events('release.recalled')).toHaveLength(1);
  });

  it('has what changed after the first search', async () => {
    pushAll();
    await start();
    expect(await service.versionOf('fw')).toBe('1.5.0');
    signBundle(registry, 'fw', registry.push('fw', '1.6.0', firmwareBytes(77)), ours);
    expect(await service.versionOf('fw')).toBe('1.6.0');
    signBundle(registry, 'fw', pushPlan(registry, 'fw', PLAN.replace('serial: 5', 'serial: 6')), ours);
    const before = await decisions();
    await service.stop();
    await registry.stop();
    await start();
    expect(await service.versionOf('fw')).toBe('1.6.0');
    expect(await decisions()).toEqual(before);
  });

  it('has the newest release of a product whose plan has ended', async () => {
    pushAll();
    await start();
    expect(await service.versionOf('fw')).toBe('1.5.0');
    registry.repository('fw').tags.delete('otaflux-plan');
    registry.repository('fw').tags.delete('2.0.0');
    expect(await service.versionOf('fw')).toBe('1.5.0');
    await service.stop();
    await registry.stop();
    await start();
    expect(await service.versionOf('fw')).toBe('1.5.0');
  });

  it('decides as before with the registry and without state', async () => {
    pushAll();
    await start();
    await service.versionOf('fw');
    const before = await decisions();
    await service.stop();
    rmSync(folder, { recursive: true });
    await start();
    await service.versionOf('fw');
    expect(await decisions()).toEqual(before);
  });

  it.each([false, true])('refuses an old plan; the plan was deleted before: %s', async (deleted) => {
    pushAll();
    const old = registry.repository('fw').tags.get('otaflux-plan') ?? '';
    await start();
    await service.versionOf('fw');
    signBundle(registry, 'fw', pushPlan(registry, 'fw', PLAN.replace('serial: 5', 'serial: 6')), ours);
    expect(await service.versionOf('fw')).toBe('1.5.0');
    if (deleted) {
      registry.repository('fw').tags.delete('otaflux-plan');
      expect(await service.versionOf('fw')).toBe('2.0.0');
    }
    await service.stop();
    registry.repository('fw').tags.set('otaflux-plan', old);
    await start();
    expect(await service.versionOf('fw')).toBe(deleted ? '2.0.0' : '1.5.0');
    expect(service.events('plan.rejected')[0]?.reason).toContain('a plan with serial 6 was seen before');
  });

  it('keeps the serial of a product that was removed', async () => {
    pushAll();
    const old = new Map(registry.repository('fw').tags);
    await start();
    await service.versionOf('fw');
    signBundle(registry, 'fw', pushPlan(registry, 'fw', PLAN.replace('serial: 5', 'serial: 6')), ours);
    await service.versionOf('fw');
    await service.stop();
    for (const tag of old.keys()) registry.repository('fw').tags.delete(tag);
    await start();
    expect(await service.versionOf('fw')).toBe(404);
    await service.stop();
    for (const [tag, digest] of old) registry.repository('fw').tags.set(tag, digest);
    await start();
    expect([404, 502]).toContain(await service.versionOf('fw'));
    expect(service.events('plan.rejected')[0]?.reason).toContain('a plan with serial 6 was seen before');
  });

  it('goes on with the last good plan when the one in the registry is bad', async () => {
    pushAll();
    await start();
    await service.versionOf('fw');
    const before = await decisions();
    await service.stop();
    pushPlan(registry, 'fw', PLAN.replace('serial: 5', 'serial: 6').replace('1.5.0', '1.0.0'));
    await start();
    expect(await service.versionOf('fw')).toBe('1.5.0');
    expect(await decisions()).toEqual(before);
    expect(service.events('plan.rejected')).toHaveLength(1);
  });

  it('does not take the end of a plan from a list that lacks it', async () => {
    pushAll();
    await start();
    await service.versionOf('fw');
    await service.stop();
    registry.fault = (_request, response, kind) => {
      if (kind !== 'tags') return false;
      response.end(JSON.stringify({ name: 'fw', tags: ['1.0.0', '1.5.0', '2.0.0'] }));
      return true;
    };
    await start();
    expect(await service.versionOf('fw')).toBe('1.5.0');
    registry.fault = () => false;
  });

  it('verifies the signature of the plan again', async () => {
    pushAll();
    await start();
    await service.versionOf('fw');
    await service.stop();
    await registry.stop();
    await start({ COSIGN_PUB_KEY: newKey().pem });
    expect(await service.versionOf('fw')).toBe(503);
  });

  it('believes no file that was changed', async () => {
    pushAll();
    await start();
    await service.versionOf('fw');
    await service.stop();
    await registry.stop();
    const text = readFileSync(kept(), 'utf8');
    for (const broken of [
      '',
      text.replace('"serial":5', '"serial":-5'),
      text.replace('"parts":{', '"parts":[]'),
      text.slice(0, 400),
    ]) {
      writeFileSync(kept(), broken);
      await start();
      expect(await service.versionOf('fw')).toBe(503);
      await service.stop();
    }
    const loose = Buffer.from(PLAN.replace('percent: 50', 'percent: 99')).toString('base64');
    const changed = text.replace(Buffer.from(PLAN).toString('base64'), loose);
    expect(changed).not.toBe(text);
    writeFileSync(kept(), changed);
    await start();
    expect(await service.versionOf('fw')).toBe(503);
  });

  it('asks the registry again as soon as it is back', async () => {
    pushAll();
    await start();
    await service.versionOf('fw');
    await service.stop();
    await registry.stop();
    await start();
    expect(await service.versionOf('fw')).toBe('1.5.0');
    await registry.start();
    signBundle(
      registry,
      'fw',
      pushPlan(registry, 'fw', PLAN.replace('serial: 5', 'serial: 6').replaceAll('2.0.0', '1.5.0')),
      ours,
    );
    await until(async () => (await service.versionOf('fw')) === '2.0.0', 'the new plan');
  });
});
