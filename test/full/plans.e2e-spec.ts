import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describeWith, DistributionServer, runProgram } from '../support/real-server.js';
import { TestService, until } from '../support/service.js';

const PLAN_TYPE = 'application/vnd.otaflux.plan.v1';

describeWith(['docker-registry', 'oras', 'cosign'], 'a plan in a real registry', () => {
  const folder = mkdtempSync(join(tmpdir(), 'otaflux-plans-'));
  const registry = new DistributionServer();
  let service: TestService;

  const inFolder = (name: string, text: string): void => {
    writeFileSync(join(folder, name), text);
  };
  const repository = (): string => `${registry.url.replace('http://', '')}/esp32`;
  const sign = (digest: string): void => {
    const flags = ['--use-signing-config=false', '--new-bundle-format=false', '--tlog-upload=false'];
    const registryFlags = ['--allow-http-registry', '--allow-insecure-registry', '-y'];
    runProgram(
      'cosign',
      ['sign', '--key', 'cosign.key', ...flags, ...registryFlags, `${repository()}@${digest}`],
      folder,
    );
  };
  const push = (tag: string, file: string, flags: string[] = []): string => {
    const options = ['push', '--plain-http', '--format', 'go-template={{.digest}}', ...flags];
    return runProgram('oras', [...options, `${repository()}:${tag}`, file], folder).trim();
  };
  const pushFirmware = (version: string): void => {
    inFolder('firmware.bin', `firmware ${version}`);
    sign(push(version, 'firmware.bin:application/octet-stream'));
  };
  const pushPlan = (yaml: string): string => {
    inFolder('plan.yaml', yaml);
    return push('otaflux-plan', `plan.yaml:${PLAN_TYPE}+yaml`, ['--artifact-type', PLAN_TYPE]);
  };
  const start = async (): Promise<void> => {
    service = await TestService.start({
      REGISTRY_URL: registry.url,
      REFRESH_INTERVAL: '0',
      CACHE_DIR: join(folder, 'cache'),
      COSIGN_PUB_KEY_PATH: join(folder, 'cosign.pub'),
    });
  };

  beforeAll(async () => {
    process.env.COSIGN_PASSWORD = '';
    await registry.start();
    runProgram('cosign', ['generate-key-pair'], folder);
    for (const version of ['1.0.0', '1.1.0', '2.0.0']) pushFirmware(version);
    await start();
  });
  afterAll(async () => {
    await service.stop();
    await registry.stop();
    rmSync(folder, { recursive: true });
  });

  const plan = (serial: number, range: string): string =>
    `serial: ${serial}\nproduct: esp32\nchannels:\n  stable: { versions: "${range}" }\n`;

  it('is pushed with oras, signed with cosign, changed, refused, and goes on through a restart', async () => {
    expect(await service.versionOf('esp32')).toBe('2.0.0');
    sign(pushPlan(plan(1, '<2.0.0')));
    await until(async () => (await service.versionOf('esp32')) === '1.1.0', 'the plan');
    const second = pushPlan(plan(2, '<1.1.0'));
    expect(await service.versionOf('esp32')).toBe('1.1.0');
    expect(service.events('plan.rejected')).toMatchObject([{ digest: second, code: 'untrusted' }]);
    sign(second);
    await until(async () => (await service.versionOf('esp32')) === '1.0.0', 'the signed plan');
    sign(pushPlan(plan(1, '<3.0.0')));
    expect(await service.versionOf('esp32')).toBe('1.0.0');
    await service.stop();
    await registry.kill();
    await start();
    expect(await service.versionOf('esp32')).toBe('1.0.0');
    await registry.launch();
    // The replayed plan is refused after the restart, too.
    await until(async () => {
      await service.versionOf('esp32');
      return service.events('plan.rejected').length > 0;
    }, 'the refusal');
    expect(await service.versionOf('esp32')).toBe('1.0.0');
    runProgram('oras', ['manifest', 'delete', '--plain-http', '-f', `${repository()}:otaflux-plan`]);
    await until(async () => (await service.versionOf('esp32')) === '2.0.0', 'the end of the plan');
    expect(service.events('plan.ended')).toHaveLength(1);
  });
});
