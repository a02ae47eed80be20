import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from '@jest/globals';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { firmwareBytes } from '../support/bytes.js';
import { FakeRegistry } from '../support/fake-registry.js';
import { newKey, signLegacy } from '../support/sign.js';
import { TestService, until } from '../support/service.js';

const [older, newer] = ['1.0.0-rc.20240101123456788', '1.0.0-rc.20240101123456789'];
const registry = new FakeRegistry();
let service: TestService | undefined;

beforeAll(() => registry.start());
afterAll(() => registry.stop());
beforeEach(() => {
  registry.remove('fw');
  registry.push('fw', newer, firmwareBytes(2000, 'newer'));
  registry.push('fw', older, firmwareBytes(1000, 'older'));
});
afterEach(() => service?.stop());

it('are served, and asked for by name', async () => {
  service = await TestService.start({ REGISTRY_URL: registry.url });
  expect(await service.versionOf('fw')).toBe(newer);
  expect((await service.firmware(`fw&version=${older}`)).headers.get('content-length')).toBe('1000');
  expect((await service.firmware(`fw&version=v${newer}`)).headers.get('content-length')).toBe('2000');
});

it.each([
  [older, newer],
  [newer, newer],
  ['1.0.0-rc.20240101123456790', 404],
  ['1.0.20240101123456789', 404],
])('are compared with --min-version %s', async (minVersion, expected) => {
  service = await TestService.start({ REGISTRY_URL: registry.url, MIN_VERSION: minVersion });
  expect(await service.versionOf('fw')).toBe(expected);
});

it('are compared with the version that a signed manifest states', async () => {
  const key = newKey();
  const folder = mkdtempSync(join(tmpdir(), 'otaflux-large-'));
  writeFileSync(join(folder, 'cosign.pub'), key.pem);
  const [good, moved] = ['1.0.0-rc.20240101123456790', '1.0.0-rc.20240101123456791'];
  // The second one is a signed build under a tag that is not its own.
  for (const tag of [good, moved]) {
    const stated = { 'org.opencontainers.image.version': good, 'build.tag': tag };
    const digest = registry.push('fw', tag, firmwareBytes(4000, tag), undefined, undefined, stated);
    signLegacy(registry, 'fw', digest, key);
  }
  const keyPath = join(folder, 'cosign.pub');
  service = await TestService.start({
    REGISTRY_URL: registry.url,
    COSIGN_PUB_KEY_PATH: keyPath,
    SIGNED_VERSION: 'require',
  });
  expect(await service.versionOf('fw')).toBe(good);
  rmSync(folder, { recursive: true });
});

it('are looked for behind a webhook until they are there', async () => {
  const running = (service = await TestService.start({ REGISTRY_URL: registry.url, REFRESH_INTERVAL: '1h' }));
  expect(await running.versionOf('fw')).toBe(newer);
  const pushed = '1.0.0-rc.20240101123456790';
  const body = JSON.stringify({
    type: 'PUSH_ARTIFACT',
    event_data: { resources: [{ tag: pushed }], repository: { repo_full_name: 'fw' } },
  });
  const before = registry.count('tags');
  const answer = await running.fetch('/webhooks/harbor', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body,
  });
  expect(answer.status).toBe(200);
  // What it finds is older than what was pushed: it looks again.
  await until(() => registry.count('tags') > before, 'the first look');
  registry.push('fw', pushed, firmwareBytes(3000));
  await until(async () => (await running.versionOf('fw')) === pushed, 'what was pushed');
});
