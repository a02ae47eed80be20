import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { firmwareBytes } from '../support/bytes.js';
import { run } from '../support/cli.js';
import { expectStop, stopped } from '../support/leftovers.js';
import { describeWith, DistributionServer, runProgram } from '../support/real-server.js';
import { TestService } from '../support/service.js';

/** How openssl makes each kind of key that cosign can import. */
const KEYS = {
  'p-256': ['ec', 'ec_paramgen_curve:P-256'],
  'p-384': ['ec', 'ec_paramgen_curve:P-384'],
  'p-521': ['ec', 'ec_paramgen_curve:P-521'],
  'rsa-2048': ['rsa', 'rsa_keygen_bits:2048'],
  'rsa-4096': ['rsa', 'rsa_keygen_bits:4096'],
  ed25519: ['ed25519'],
} as const;
type Kind = keyof typeof KEYS;
const KINDS = Object.keys(KEYS) as Kind[];

/** The ways to sign offline, by name: the program and its flags. v2 knows no bundle for images without a flag of its own. */
const SIGNERS = {
  'v3-bundle': ['cosign', '--signing-config'],
  'v3-legacy': ['cosign', '--use-signing-config=false', '--new-bundle-format=false', '--tlog-upload=false'],
  'v2-legacy': ['cosign-v2', '--tlog-upload=false'],
  'v2-bundle': ['cosign-v2', '--tlog-upload=false', '--new-bundle-format'],
} as const;
type Signer = keyof typeof SIGNERS;

const folder = mkdtempSync(join(tmpdir(), 'otaflux-cosign-'));
const firmware = join(folder, 'firmware.bin');
process.env.COSIGN_PASSWORD = '';

/** The in-memory registry of go-containerregistry, with the referrers API. */
class ReferrersRegistry {
  url = '';
  private process: ChildProcess | undefined;

  async start(): Promise<void> {
    const source = fileURLToPath(new URL('../support/referrers-registry', import.meta.url));
    const program = join(folder, 'referrers-registry');
    runProgram('go', ['build', '-o', program, '.'], source);
    const child = spawn(program, { stdio: ['ignore', 'pipe', 'ignore'] });
    this.process = child;
    expectStop(this, () => child.kill());
    this.url = await new Promise((resolve) =>
      child.stdout.once('data', (line: Buffer) => {
        resolve(line.toString().trim());
      }),
    );
  }

  stop(): Promise<void> {
    stopped(this);
    this.process?.kill();
    return Promise.resolve();
  }
}

beforeAll(() => {
  writeFileSync(firmware, firmwareBytes(10_000));
  writeFileSync(
    join(folder, 'signing-config.json'),
    JSON.stringify({
      mediaType: 'application/vnd.dev.sigstore.signingconfig.v0.2+json',
      rekorTlogConfig: { selector: 'ANY' },
      tsaConfig: { selector: 'ANY' },
    }),
  );
});
afterAll(() => {
  rmSync(folder, { recursive: true });
});

const PROGRAMS = ['cosign', 'cosign-v2', 'oras', 'openssl', 'go', 'docker-registry'];

describeWith(PROGRAMS, 'what the real cosign signs', () => {
  const distribution = new DistributionServer();
  const referrers = new ReferrersRegistry();
  const layout = join(folder, 'layout');
  const repositoryOf = (kind: Kind, signer: Signer): string => `${kind}/${signer}`;

  beforeAll(async () => {
    await Promise.all([distribution.start(), referrers.start()]);
    for (const kind of KINDS) {
      const [algorithm, option] = KEYS[kind];
      const pem = join(folder, `${kind}.pem`);
      runProgram('openssl', ['genpkey', '-algorithm', algorithm, ...(option ? ['-pkeyopt', option] : []), '-out', pem]);
      runProgram('cosign', ['import-key-pair', '--key', pem, '--output-key-prefix', join(folder, kind)]);
    }
    for (const url of [distribution.url, referrers.url]) {
      for (const kind of KINDS)
        for (const signer of Object.keys(SIGNERS) as Signer[]) await pushAndSign(url, kind, signer);
    }
    for (const kind of KINDS) for (const signer of Object.keys(SIGNERS) as Signer[]) exportLayout(kind, signer);
  }, 900_000);
  afterAll(async () => {
    await distribution.stop();
    await referrers.stop();
  });

  const pushAndSign = async (url: string, kind: Kind, signer: Signer): Promise<void> => {
    const repository = repositoryOf(kind, signer);
    const pushed = await run(['push', repository, '1.0.0', firmware, '--registry-url', url, '--json']);
    const { digest } = JSON.parse(pushed.stdout) as { digest: string };
    const [program, ...flags] = SIGNERS[signer];
    const config = flags[0] === '--signing-config' ? [join(folder, 'signing-config.json')] : [];
    const reference = `${url.replace('http://', '')}/${repository}@${digest}`;
    runProgram(program, [
      'sign',
      '--yes',
      '--allow-http-registry',
      '--key',
      join(folder, `${kind}.key`),
      ...flags,
      ...config,
      reference,
    ]);
  };
  const exportLayout = (kind: Kind, signer: Signer): void => {
    const repository = repositoryOf(kind, signer);
    const from = `${distribution.url.replace('http://', '')}/${repository}`;
    for (const tag of runProgram('oras', ['repo', 'tags', '--plain-http', from]).trim().split('\n'))
      runProgram('oras', [
        'cp',
        '-r',
        '--from-plain-http',
        '--to-oci-layout',
        `${from}:${tag}`,
        `${join(layout, repository)}:${tag}`,
      ]);
  };

  it.each([
    ['a CNCF Distribution registry, without the referrers API', () => distribution.url],
    ['a registry with the referrers API', () => referrers.url],
    ['a folder', () => `oci:${layout}`],
  ])('is served from %s, and by no other key', async (_name, url) => {
    const judged: Record<string, unknown> = {};
    const expected: Record<string, unknown> = {};
    for (const kind of KINDS) {
      const key = readFileSync(join(folder, `${kind}.pub`), 'utf8');
      const wrong = readFileSync(join(folder, `${kind === 'p-256' ? 'p-384' : 'p-256'}.pub`), 'utf8');
      const service = await TestService.start({ REGISTRY_URL: url(), COSIGN_PUB_KEY: key });
      for (const signer of Object.keys(SIGNERS) as Signer[]) {
        const repository = repositoryOf(kind, signer);
        judged[repository] = await service.versionOf(repository);
        expected[repository] = '1.0.0';
      }
      await service.stop();
      const stranger = await TestService.start({ REGISTRY_URL: url(), COSIGN_PUB_KEY: wrong });
      for (const signer of Object.keys(SIGNERS) as Signer[])
        expect(await stranger.versionOf(repositoryOf(kind, signer))).toBe(404);
      const codes = stranger.events('release.untrusted').map(({ code }) => code);
      expect(codes).toEqual(Object.keys(SIGNERS).map(() => 'key-mismatch'));
      await stranger.stop();
    }
    expect(judged).toEqual(expected);
  });

  it('is judged the same by otaflux verify', async () => {
    const url = ['--registry-url', referrers.url];
    const good = await run([
      'verify',
      'p-384/v3-bundle',
      ...url,
      '--cosign-pub-key-path',
      join(folder, 'p-384.pub'),
      '--json',
    ]);
    expect(good.code).toBe(0);
    expect(JSON.parse(good.stdout)).toMatchObject({
      served: '1.0.0',
      versions: [{ result: 'trusted', form: 'bundle' }],
    });
    const legacy = await run([
      'verify',
      'p-256/v2-legacy',
      ...url,
      '--cosign-pub-key-path',
      join(folder, 'p-256.pub'),
      '--json',
    ]);
    expect(JSON.parse(legacy.stdout)).toMatchObject({
      versions: [{ form: 'legacy', reference: `${referrers.url.replace('http://', '')}/p-256/v2-legacy` }],
    });
    const bad = await run(['verify', 'p-384/v2-legacy', ...url, '--cosign-pub-key-path', join(folder, 'p-256.pub')]);
    expect(bad).toMatchObject({ code: 1, stdout: expect.stringMatching(/1\.0\.0 .* key-mismatch/) });
    expect(await run(['verify', 'Bad Name', ...url])).toMatchObject({ code: 2 });
    expect(
      await run(['verify', 'x', '--registry-url', 'http://127.0.0.1:1', '--registry-timeout', '300ms']),
    ).toMatchObject({ code: 3 });
  });
});
