import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
// Two adapters import it at the same time, which jest cannot do for the first time.
import '../../src/notification/http/index.js';
import { Clock } from '../../src/clock.js';
import { Fleet } from '../../src/fleet/index.js';
import { Notifier, type ReleaseNotice } from '../../src/index.js';
import { RolloutRunner } from '../../src/rollout/index.js';
import { firmwareBytes } from '../support/bytes.js';
import { FakeRegistry } from '../support/fake-registry.js';
import { pushPlan } from '../support/push-plan.js';
import { TestService, until } from '../support/service.js';

const DAY = 86_400_000;
const SIZE = 1_000;
const plan = (serial = 1, more = ''): string => `
serial: ${serial}
channels:
  stable: { versions: ">=1.0.0 <2.0.0" }
  beta: { versions: ">=1.0.0" }
default: stable
rollouts:
  - version: 1.1.0
    starts: 2026-11-25T08:00:00Z
    stages: [{ percent: 10, for: 1d }]
    halt: { failed: 20%, least: 1 }
${more}
`;

/** Takes all notices, as a notifier that knows channels does. */
class All extends Notifier {
  static readonly told: ReleaseNotice[] = [];
  override readonly name = 'all';
  override readonly sendsChannels = true;
  override publish(notice: ReleaseNotice): Promise<void> {
    All.told.push(notice);
    return Promise.resolve();
  }
}
/** A notifier that was written before there were plans. */
class Old extends Notifier {
  static readonly told: ReleaseNotice[] = [];
  override readonly name = 'old';
  override publish(notice: ReleaseNotice): Promise<void> {
    Old.told.push(notice);
    return Promise.resolve();
  }
}

describe('notices about a plan', () => {
  const registry = new FakeRegistry();
  const bodies: Record<string, unknown>[] = [];
  let receiver: Server;
  let service: TestService;
  let nowMs: number;

  beforeAll(async () => {
    await registry.start();
    receiver = createServer((request, response) => {
      let text = '';
      request.on('data', (piece: Buffer) => (text += piece.toString()));
      request.on('end', () => {
        bodies.push(JSON.parse(text) as Record<string, unknown>);
        response.writeHead(204).end();
      });
    });
    await new Promise<void>((resolve) => receiver.listen(0, '127.0.0.1', resolve));
  });
  afterAll(async () => {
    receiver.closeAllConnections();
    await new Promise((resolve) => receiver.close(resolve));
    await registry.stop();
  });
  beforeEach(async () => {
    All.told.length = Old.told.length = bodies.length = 0;
    nowMs = Date.UTC(2026, 10, 25, 9);
    for (const version of ['1.0.0', '1.1.0', '2.0.0']) registry.push('esp32', version, firmwareBytes(SIZE, version));
    pushPlan(registry, 'esp32', plan());
    service = await TestService.start(
      {
        REGISTRY_URL: registry.url,
        REFRESH_INTERVAL: '0',
        NOTIFY: `http://127.0.0.1:${(receiver.address() as AddressInfo).port}/hook`,
      },
      { notifiers: [All, Old] },
    );
    service.service.get(Clock).nowMs = () => nowMs;
    await service.version('esp32');
    await until(() => All.told.length === 3, 'the first notices');
  });
  afterEach(async () => {
    await service.stop();
    registry.remove('esp32');
  });

  const look = (): void => {
    service.service.get(RolloutRunner).lookAtDue();
  };
  const text = ({ device, channel, release }: ReleaseNotice): string =>
    `${device}${channel === undefined ? '' : `/${channel}`} ${release ? `${release.version} ${release.percent ?? ''}`.trim() : 'none'}`;
  const told = (): string[] => All.told.map(text).sort();

  it('say what each channel is offered, and the device only what everybody is', async () => {
    expect(told()).toEqual(['esp32 1.0.0', 'esp32/beta 2.0.0 100', 'esp32/stable 1.1.0 10']);
    expect(All.told.every(({ release }) => release?.sizeBytes === SIZE)).toBe(true);
    await until(() => bodies.length === 3, 'the events');
    expect(bodies.find(({ subject }) => subject === 'esp32/channels/stable')).toMatchObject({
      type: 'io.otaflux.channel.changed',
      data: { device: 'esp32', channel: 'stable', version: '1.1.0', size: SIZE, percent: 10 },
    });
    expect(bodies.find(({ subject }) => subject === 'esp32')).toMatchObject({
      type: 'io.otaflux.release.changed',
      data: { device: 'esp32', version: '1.0.0', size: SIZE },
    });
    nowMs += DAY;
    look();
    await until(() => All.told.length === 5, 'the notices of the end');
    expect(All.told.slice(3).map(text).sort()).toEqual(['esp32 1.1.0', 'esp32/stable 1.1.0 100']);
    await until(() => Old.told.length === 2, 'the notices of the device');
    expect(Old.told.map(text)).toEqual(['esp32 1.0.0', 'esp32 1.1.0']);
  });

  it('are corrected when the rollout is halted, and nothing new is announced', async () => {
    const fleet = service.service.get(Fleet);
    const manifestDigest = registry.repository('esp32').tags.get('1.1.0') ?? '';
    fleet.offered({ product: 'esp32', unit: 'a' }, 'native', { version: '1.1.0', manifestDigest });
    await fleet.report({ product: 'esp32', unit: 'a' }, 'native', { outcome: 'failed' });
    look();
    await until(() => All.told.length === 4, 'the correction');
    expect(text(All.told[3]!)).toBe('esp32/stable 1.0.0 100');
    nowMs += 2 * DAY;
    look();
    await service.version('esp32');
    expect(All.told).toHaveLength(4);
  });

  it('are corrected when the version is yanked, and withdrawn with their channel', async () => {
    pushPlan(registry, 'esp32', plan(2, 'yanked: [1.1.0]'));
    await service.version('esp32');
    await until(() => All.told.length === 4, 'the correction');
    expect(text(All.told[3]!)).toBe('esp32/stable 1.0.0 100');
    registry.repository('esp32').tags.delete('otaflux-plan');
    await service.version('esp32');
    await until(() => All.told.length === 7, 'the withdrawals');
    expect(All.told.slice(4).map(text).sort()).toEqual(['esp32 2.0.0', 'esp32/beta none', 'esp32/stable none']);
  });
});
