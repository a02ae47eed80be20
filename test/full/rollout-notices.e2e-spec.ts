import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from '@jest/globals';
import { Clock } from '../../src/clock.js';
import { firmwareBytes } from '../support/bytes.js';
import { FakeRegistry } from '../support/fake-registry.js';
import { pushPlan } from '../support/push-plan.js';
import { describeWith, Mosquitto } from '../support/real-server.js';
import { Subscriber } from '../support/subscriber.js';
import { TestService, until } from '../support/service.js';

const plan = (serial: number, percent: number): string => `
serial: ${serial}
channels: { stable: { versions: ">=1.0.0" }, lab: { version: 1.0.0 } }
default: stable
rollouts:
  - version: 1.1.0
    starts: 2026-11-25T08:00:00Z
    stages: [{ percent: ${percent}, for: 1d }]
`;

describeWith(['mosquitto'], 'retained notices about channels', () => {
  const registry = new FakeRegistry();
  let broker: Mosquitto;
  let service: TestService;
  let subscriber: Subscriber;

  beforeAll(() => registry.start());
  afterAll(() => registry.stop());
  beforeEach(async () => {
    broker = await new Mosquitto().start();
    for (const version of ['1.0.0', '1.1.0']) registry.push('esp32', version, firmwareBytes(1_000, version));
    pushPlan(registry, 'esp32', plan(1, 10));
    await start();
    subscriber = await Subscriber.start(broker.port);
    await service.version('esp32');
    await until(() => subscriber.newest.size === 3, 'the notices');
  });
  afterEach(async () => {
    await subscriber.stop();
    await service.stop();
    await broker.stop();
    registry.remove('esp32');
  });

  const start = async (): Promise<void> => {
    service = await TestService.start({
      REGISTRY_URL: registry.url,
      REFRESH_INTERVAL: '0',
      MQTT_URL: `mqtt://127.0.0.1:${broker.port}?client_id=otaflux-test`,
      MQTT_TOPIC: 'fw',
    });
    service.service.get(Clock).nowMs = () => Date.UTC(2026, 10, 25, 9);
  };

  it('are below the topic of the device, which has what it had before', () => {
    expect(Object.fromEntries(subscriber.newest)).toEqual({
      'fw/esp32': '{"version":"1.0.0","size":1000}',
      'fw/esp32/channels/stable': '{"version":"1.1.0","size":1000,"percent":10}',
      'fw/esp32/channels/lab': '{"version":"1.0.0","size":1000,"percent":100}',
    });
  });

  it('are compared with the plan after a restart: corrected, kept, or withdrawn', async () => {
    const before = subscriber.messages.length;
    await service.stop();
    pushPlan(registry, 'esp32', plan(2, 50).replace(', lab: { version: 1.0.0 }', ''));
    await start();
    await until(() => subscriber.messages.length === before + 2, 'the corrections');
    expect(subscriber.newest.get('fw/esp32/channels/stable')).toBe('{"version":"1.1.0","size":1000,"percent":50}');
    expect(subscriber.newest.get('fw/esp32/channels/lab')).toBe('');
    expect(subscriber.newest.get('fw/esp32')).toBe('{"version":"1.0.0","size":1000}');
  });
});
