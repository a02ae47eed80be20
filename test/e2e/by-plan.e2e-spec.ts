import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { FakeRegistry } from '../support/fake-registry.js';
import { fixture } from '../support/fixture.js';
import { run } from '../support/cli.js';
import { pushPlan } from '../support/push-plan.js';
import { TestService } from '../support/service.js';

const PAST = new Date(Date.now() - 3_600_000).toISOString();

/** Plans, and what a client without a unit id is offered of 1.0.0, 1.1.0, 1.2.0 and 2.0.0. */
const PLANS: readonly [string, string | null, string][] = [
  ['a range', '1.2.0', 'channels: { stable: { versions: "<2.0.0" } }'],
  ['one version', '1.1.0', 'channels: { stable: { version: 1.1.0 } }'],
  ['what is yanked', '1.1.0', 'channels: { stable: { versions: "<2.0.0" } }\nyanked: [1.2.0]'],
  [
    'a rollout in its first stage',
    '1.2.0',
    `rollouts: [{ version: 2.0.0, starts: ${PAST}, stages: [{ percent: 10, for: 1d }] }]`,
  ],
  [
    'a rollout that is over',
    '2.0.0',
    `rollouts: [{ version: 2.0.0, starts: ${PAST}, stages: [{ percent: 10, for: 1m }] }]`,
  ],
  ['the default channel', '1.0.0', 'channels: { a: { versions: "*" }, b: { version: 1.0.0 } }\ndefault: b'],
  ['a version that is not there', null, 'channels: { stable: { version: 3.0.0 } }'],
];

describe('list, verify and delete of a product with a plan', () => {
  const registry = new FakeRegistry();
  const options = (): string[] => ['--registry-url', registry.url];
  let service: TestService;

  beforeAll(async () => {
    await registry.start();
    service = await TestService.start({ REGISTRY_URL: registry.url });
  });
  afterAll(async () => {
    await service.stop();
    await registry.stop();
  });

  let count = 0;
  const product = (plan: string, versions = ['1.0.0', '1.1.0', '1.2.0', '2.0.0']): string => {
    const name = `planned-${++count}`;
    for (const version of versions) registry.push(name, version, Buffer.from(version));
    pushPlan(registry, name, `serial: 7\n${plan}\n`);
    return name;
  };

  it.each(PLANS)('mark what the server offers by %s', async (_name, expected, plan) => {
    const name = product(plan);
    expect(await service.versionOf(name)).toBe(expected ?? 404);
    const listed = await run(['list', name, '--json', ...options()]);
    expect(JSON.parse(listed.stdout)).toMatchObject({ current: expected, plan: 7 });
    const verified = await run(['verify', name, '--json', ...options()]);
    expect(JSON.parse(verified.stdout)).toMatchObject({ served: expected, plan: 7 });
    expect([listed.code, verified.code]).toEqual(expected === null ? [1, 1] : [0, 0]);
    const sentence = `By the plan (serial 7), a device without a unit id gets ${expected ?? 'none of these versions'}. To see what one unit gets, run otaflux why ${name} --unit UNIT\n`;
    for (const command of ['list', 'verify']) {
      const { stdout } = await run([command, name, ...options()]);
      expect(stdout.endsWith(sentence)).toBe(true);
      expect(/^→ +(\S+)/m.exec(stdout)?.[1] ?? null).toBe(expected);
    }
  });

  it('note what the plan says about a version', async () => {
    const name = product(`yanked: [1.1.0]\nrollouts: [{ version: 2.0.0, starts: 2999-01-01T00:00:00Z }]`);
    const { stdout } = await run(['list', name, ...options()]);
    expect(stdout).toMatch(/^ +1\.1\.0 .* yanked by the plan$/m);
    expect(stdout).toMatch(/^ +2\.0\.0 .* has a rollout in the plan$/m);
    expect(stdout).toMatch(/^→ +1\.2\.0 .* -$/m);
  });

  it('say what devices get after a version was deleted', async () => {
    const name = product('channels: { stable: { versions: "<2.0.0" } }');
    registry.fault = (request, response) => {
      if (request.method !== 'DELETE') return false;
      registry.repository(name).tags.delete(request.url?.split('/').at(-1) ?? '');
      response.writeHead(202).end();
      return true;
    };
    const { stdout } = await run(['delete', name, '1.2.0', '--yes', ...options()]);
    expect(stdout).toMatch(/^By the plan \(serial 7\), a device without a unit id gets 1\.1\.0\. /m);
  });

  it.each([
    ['with an error', 'channels: 5', [], /channels/],
    ['without a signature', '', ['--cosign-pub-key-path', fixture('keys/cosign.pub')], /refuses this plan/],
    ['that is not signed by its own key', '', ['--plan-pub-key-path', fixture('keys/cosign.pub')], /refuses this plan/],
  ])('do not guess by a plan %s', async (_name, plan, more, reason) => {
    const name = product(plan);
    for (const command of ['list', 'verify']) {
      const { code, stdout, stderr } = await run([command, name, ...options(), ...more]);
      expect(code).toBe(3);
      expect(stderr).toMatch(reason);
      expect(stdout).toMatch(/^ +2\.0\.0 /m);
      expect(stdout).not.toContain('→');
    }
  });
});
