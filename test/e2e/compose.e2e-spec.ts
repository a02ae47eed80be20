import { describe, expect, it } from '@jest/globals';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';
import { gather, parseSettings } from '../../src/config/index.js';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
/** Each compose file, and the configuration of its registry. */
const FILES = [
  ['compose.yaml', 'config/distribution/registry.yaml', '/webhooks/distribution'],
  ['config/zot/compose.yaml', 'config/zot/zot.json', '/webhooks/cloudevents'],
] as const;

interface Compose {
  services: Record<
    string,
    { image?: string; environment?: Record<string, string>; volumes?: string[]; depends_on?: string[] }
  >;
  volumes: Record<string, unknown>;
}

describe.each(FILES)('%s', (path, registryConfig, webhook) => {
  const { services, volumes } = parse(readFileSync(join(ROOT, path), 'utf8')) as Compose;
  const environment = services.otaflux?.environment ?? {};

  it('configures the server by options that it has', async () => {
    const settings = parseSettings(await gather({ flags: {}, environment }));
    expect(settings.registryUrl).toMatchObject({ kind: 'http', origin: 'http://registry:5000' });
  });

  it('mounts files that are there, and names services and volumes that are', () => {
    for (const { volumes: mounts = [], depends_on: needs = [] } of Object.values(services)) {
      for (const mount of mounts.map((text) => text.split(':')[0] ?? ''))
        expect(mount.startsWith('./') ? existsSync(join(ROOT, dirname(path), mount)) : mount in volumes).toBe(true);
      for (const service of needs) expect(services).toHaveProperty(service);
    }
  });

  it('has the registry tell the server, and show the secret that it wants', () => {
    const content = JSON.stringify(parse(readFileSync(join(ROOT, registryConfig), 'utf8')));
    expect(content).toContain(`http://otaflux:8080${webhook}`);
    expect(content).toContain(`Bearer ${environment.WEBHOOK_SECRET}`);
  });
});

it('compose.yaml runs the image of this version', () => {
  const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { version: string };
  const { services } = parse(readFileSync(join(ROOT, 'compose.yaml'), 'utf8')) as Compose;
  expect(services.otaflux?.image).toBe(`ghcr.io/otaflux/otaflux:${version}`);
});
