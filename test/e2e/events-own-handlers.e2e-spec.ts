import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { Controller, Module, type INestApplication } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { Ctx, EventPattern, Payload } from '@nestjs/microservices';
import { connectEvents, EventContext, OtaFluxModule, ReleaseService } from '../../src/index.js';
import { firmwareBytes } from '../support/bytes.js';
import { FakeNats } from '../support/fake-nats.js';
import { FakeRegistry } from '../support/fake-registry.js';
import { until } from '../support/service.js';

interface Received {
  readonly data: unknown;
  readonly topic: string;
  readonly bytes: string;
  readonly from: string;
}
const received: Received[] = [];

/** What a team adds to its application. */
@Controller()
class Temperatures {
  // With exactOptionalPropertyTypes, the compiler selects another overload without it.
  // eslint-disable-next-line @typescript-eslint/no-unnecessary-type-arguments
  @EventPattern<string>('sensors.*.temperature')
  note(@Payload() data: unknown, @Ctx() context: EventContext): void {
    if (data === 'boom') throw new Error('boom');
    const { broker } = context;
    received.push({ data, topic: context.getTopic(), bytes: context.getPayload().toString(), from: broker });
  }

  /** Sees the reports of units, too, and takes none of them away. */
  // eslint-disable-next-line @typescript-eslint/no-unnecessary-type-arguments
  @EventPattern<string>('otaflux.>')
  watch(@Payload() data: unknown, @Ctx() context: EventContext): void {
    received.push({ data, topic: context.getTopic(), bytes: '', from: context.broker });
  }
}

describe('An application with OtaFluxModule and EVENTS', () => {
  const registry = new FakeRegistry();
  const nats = new FakeNats();
  let app: INestApplication;

  beforeAll(async () => {
    await registry.start();
    await nats.start();
    registry.push('esp32', '1.0.0', firmwareBytes(10_000));
  });
  afterAll(async () => {
    await nats.stop();
    await registry.stop();
  });
  afterEach(async () => {
    await app.close();
    await until(() => nats.open === 0, 'the end of the connection');
  });

  it('gets messages by @EventPattern on the same connection, beside those of OtaFlux', async () => {
    @Module({
      imports: [OtaFluxModule.forRoot({ options: { REGISTRY_URL: registry.url, EVENTS: nats.url } })],
      controllers: [Temperatures],
    })
    class OwnApplication {}
    app = await NestFactory.create(OwnApplication, { bodyParser: false, logger: false });
    await connectEvents(app);
    await app.listen(0, '127.0.0.1');
    const releases = app.get(ReleaseService, { strict: false });
    expect((await releases.current('esp32')).version).toBe('1.0.0');
    await until(() => nats.subscriptions.has('sensors.*.temperature'), 'the subscription');
    expect(nats.connections).toBe(1);

    nats.send('sensors.a.temperature', ['{"celsius":21}', 'boom', 'warm'], 'sensors.*.temperature');
    await until(() => received.length === 2, 'both messages');
    expect(received).toEqual([
      { data: { celsius: 21 }, topic: 'sensors.a.temperature', bytes: '{"celsius":21}', from: 'nats' },
      { data: 'warm', topic: 'sensors.a.temperature', bytes: 'warm', from: 'nats' },
    ]);

    registry.push('esp32', '1.1.0', firmwareBytes(10_000, 'newer'));
    const data = { name: 'esp32', reference: '1.1.0' };
    const event = JSON.stringify({ specversion: '1.0', type: 'zotregistry.image.updated', data });
    // As a real server does, it sends a copy for each subscription.
    for (const filter of ['otaflux.webhooks.*', 'otaflux.>'])
      nats.send('otaflux.webhooks.cloudevents', [event], filter);
    await until(async () => (await releases.current('esp32')).version === '1.1.0', 'the new version');
    await until(() => received.length === 3, 'the copy for the handler of the team');
    nats.send('sensors.b.temperature', ['last'], 'sensors.*.temperature');
    await until(() => received.some(({ data }) => data === 'last'), 'what comes after both copies');
    expect(received.slice(2).map(({ topic }) => topic)).toEqual([
      'otaflux.webhooks.cloudevents',
      'sensors.b.temperature',
    ]);
  });
});
