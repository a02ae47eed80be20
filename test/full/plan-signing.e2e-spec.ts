import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { run } from '../support/cli.js';
import { describeWith, DistributionServer, runProgram } from '../support/real-server.js';

const folder = mkdtempSync(join(tmpdir(), 'otaflux-plan-signing-'));
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

describeWith(['cosign', 'openssl', 'docker-registry'], 'a plan that otaflux has signed', () => {
  const registry = new DistributionServer();
  beforeAll(() => registry.start());
  afterAll(() => registry.stop());

  it.each([
    ['p-256', ['-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256']],
    ['p-384', ['-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-384']],
    ['rsa', ['-algorithm', 'RSA']],
    ['ed25519', ['-algorithm', 'ed25519']],
  ])('with a key of type %s is verified by cosign, in both forms', async (kind, algorithm) => {
    const pem = join(folder, `${kind}.pem`);
    runProgram('openssl', ['genpkey', ...algorithm, '-out', pem]);
    runProgram('env', [
      'COSIGN_PASSWORD=secret',
      'cosign',
      'import-key-pair',
      '--key',
      pem,
      '--output-key-prefix',
      join(folder, kind),
    ]);
    const [key, pub] = [join(folder, `${kind}.key`), join(folder, `${kind}.pub`)];
    const url = ['--registry-url', registry.url];
    const reference = `${registry.url.replace('http://', '')}/${kind}:otaflux-plan`;
    for (const [form, version] of [
      ['bundle', '1.0.0'],
      ['legacy', '2.0.0'],
    ] as const) {
      const signed = ['--sign-key', key, '--sign-form', form];
      const env = { COSIGN_PASSWORD: 'secret' };
      expect(await run(['rollout', 'start', kind, version, ...signed, ...url], env)).toMatchObject({
        code: 0,
        stderr: '',
      });
      const flags = form === 'legacy' ? ['--new-bundle-format=false'] : [];
      runProgram('cosign', ['verify', '--key', pub, '--insecure-ignore-tlog=true', ...flags, reference]);
      expect(await run(['plan', 'check', kind, '--plan-pub-key-path', pub, ...url])).toMatchObject({ code: 0 });
    }
    expect(await run(['yank', kind, '1.0.0', '--sign-key', key, ...url], { COSIGN_PASSWORD: 'wrong' })).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('is wrong. Set COSIGN_PASSWORD') as unknown,
    });
  });

  it('is signed by the program cosign, which is called with the arguments that were given', async () => {
    runProgram('env', [
      'COSIGN_PASSWORD=secret',
      'cosign',
      'generate-key-pair',
      '--output-key-prefix',
      join(folder, 'own'),
    ]);
    const [key, pub] = [join(folder, 'own.key'), join(folder, 'own.pub')];
    const url = ['--registry-url', registry.url];
    const offline = '--use-signing-config=false --tlog-upload=false --allow-insecure-registry';
    const change = ['rollout', 'start', 'by-cosign', '1.0.0', '--json', ...url];
    const refused = await run([...change, '--sign', `cosign:--key ${key} ${offline}`], { COSIGN_PASSWORD: 'wrong' });
    expect(refused).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('cosign ended with code 1, see its lines above') as unknown,
    });
    expect(await run(['plan', 'show', 'by-cosign', ...url])).toMatchObject({ code: 1 });
    const done = await run([...change, '--sign', `cosign:--key ${key} ${offline}`], { COSIGN_PASSWORD: 'secret' });
    expect(done).toMatchObject({ code: 0 });
    // What cosign prints is not in the result.
    expect(JSON.parse(done.stdout)).toMatchObject({ serial: 1 });
    expect(await run(['plan', 'check', 'by-cosign', '--plan-pub-key-path', pub, ...url])).toMatchObject({ code: 0 });
  });

  it('is not pushed where there is no program cosign', async () => {
    const change = ['rollout', 'start', 'without', '1.0.0', '--sign', 'cosign', '--registry-url', registry.url];
    expect(await run(change, { PATH: '/nowhere' })).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('there is no program cosign on the PATH') as unknown,
    });
    expect(await run(['plan', 'show', 'without', '--registry-url', registry.url])).toMatchObject({ code: 1 });
  });
});
