import { expect, it } from '@jest/globals';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { firmwareBytes } from '../support/bytes.js';
import { expectStop } from '../support/leftovers.js';
import { describeWith, DistributionServer, freePort, Mosquitto, runProgram } from '../support/real-server.js';
import { TestService, until } from '../support/service.js';

const PUSHES = 20;

describeWith(['docker-registry', 'oras', 'mosquitto', 'mosquitto_sub', 'mosquitto_pub'], 'a push with oras', () => {
  it('reaches mosquitto_sub within a second, by the webhook of a real registry', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'otaflux-push-'));
    const broker = await new Mosquitto().start();
    const port = await freePort();
    const registry = await new DistributionServer().start({
      url: `http://127.0.0.1:${port}/webhooks/distribution`,
      secret: 's3cret-of-16-characters',
    });
    const service = await TestService.start({
      REGISTRY_URL: registry.url,
      REPOSITORY_PREFIX: 'fw',
      REFRESH_INTERVAL: '1h',
      LISTEN_ADDR: `127.0.0.1:${port}`,
      WEBHOOK_SECRET: 's3cret-of-16-characters',
      MQTT_URL: `mqtt://127.0.0.1:${broker.port}`,
      MQTT_TOPIC: 'firmware/releases',
    });
    await until(
      async () => (await service.metrics()).includes('otaflux_notifier_connected{notifier="mqtt"} 1'),
      'the broker',
    );
    const subscriber = spawn('mosquitto_sub', ['-p', String(broker.port), '-v', '-t', 'firmware/releases/#']);
    expectStop(subscriber, () => subscriber.kill());
    const received = new Map<string, number>();
    createInterface({ input: subscriber.stdout }).on('line', (line) => received.set(line, performance.now()));
    // A message that is retained comes as soon as it has subscribed.
    runProgram('mosquitto_pub', ['-p', String(broker.port), '-r', '-t', 'firmware/releases/probe', '-m', 'here']);
    await until(() => received.has('firmware/releases/probe here'), 'the subscription');

    const times: number[] = [];
    for (let i = 1; i <= PUSHES; i++) {
      writeFileSync(join(folder, 'firmware.bin'), firmwareBytes(50_000, String(i)));
      const reference = `${registry.url.replace('http://', '')}/fw/line-${i}/esp32:1.2.3`;
      runProgram('oras', ['push', '--plain-http', reference, 'firmware.bin:application/octet-stream'], folder);
      const pushedMs = performance.now();
      const line = `firmware/releases/line-${i}/esp32 {"version":"1.2.3","size":50000}`;
      await until(() => received.has(line), line);
      times.push(received.get(line)! - pushedMs);
    }
    times.sort((a, b) => a - b);
    const [median = NaN, slowest = NaN] = [times[PUSHES / 2], times[PUSHES - 1]];
    process.stdout.write(
      `oras push to mosquitto_sub: median ${median.toFixed(0)} ms, slowest ${slowest.toFixed(0)} ms\n`,
    );
    expect(median).toBeLessThan(1_000);
    expect(await service.metrics()).toMatch(/otaflux_webhooks_total\{source="distribution",result="queued"\} \d+/);

    const exited = once(subscriber, 'exit');
    subscriber.kill();
    await exited;
    await service.stop();
    await registry.stop();
    await broker.stop();
    rmSync(folder, { recursive: true, force: true });
  }, 360_000);
});
