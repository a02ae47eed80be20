import { describe, expect, it } from '@jest/globals';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';
import { gather, parseSettings } from '../../src/config/index.js';

const folder = (name: string): string => fileURLToPath(new URL(`../../config/${name}/`, import.meta.url));

interface Compose {
  services: Record<string, { environment?: Record<string, string>; volumes?: string[]; depends_on?: string[] }>;
  volumes: Record<string, unknown>;
}

describe.each(['distribution', 'zot'])('config/%s/compose.yaml', (name) => {
  const { services, volumes } = parse(readFileSync(join(folder(name), 'compose.yaml'), 'utf8')) as Compose;
  const environment = services.otaflux?.environment ?? {};

  it('configures the server by options that it has', async () => {
    const settings = parseSettings(await gather({ flags: {}, environment }));
    expect(settings.registryUrl).toMatchObject({ kind: 'http', origin: 'http://registry:5000' });
  });

  it('mounts files that are there, and names services and volumes that are', () => {
    for (const { volumes: mounts = [], depends_on: needs = [] } of Object.values(services)) {
      for (const mount of mounts.map((text) => text.split(':')[0] ?? ''))
        expect(mount.startsWith('./') ? existsSync(join(folder(name), mount)) : mount in volumes).toBe(true);
      for (const service of needs) expect(services).toHaveProperty(service);
    }
  });

  it('has the registry tell the server, and show the secret that it wants', () => {
    const config = readFileSync(join(folder(name), name === 'zot' ? 'zot.json' : 'registry.yaml'), 'utf8');
    const content = JSON.stringify(parse(config));
    expect(content).toContain(`http://otaflux:8080/webhooks/${name === 'zot' ? 'cloudevents' : 'distribution'}`);
    expect(content).toContain(`Bearer ${environment.WEBHOOK_SECRET}`);
  });
});
