import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { createHmac, randomInt } from 'node:crypto';
import { WebhookSource, type RepositoryChange } from '../../src/index.js';
import { firmwareBytes } from '../support/bytes.js';
import { FakeRegistry } from '../support/fake-registry.js';
import { newKey, signBundle } from '../support/sign.js';
import { TestService, until, type TestOptions } from '../support/service.js';
import { IGNORED, pushSamples, type Sample } from '../support/webhook-bodies.js';

const firmware = firmwareBytes(10_000);
const newer = firmwareBytes(11_000, 'newer');

/** What a team adds for a sender of its own. */
class OwnSource extends WebhookSource {
  override readonly name = 'own';
  override parse(body: unknown): RepositoryChange[] {
    return [{ repository: String((body as { what?: unknown }).what), kind: 'pushed' }];
  }
}

describe('webhooks', () => {
  const registry = new FakeRegistry();
  let service: TestService;

  beforeAll(() => registry.start());
  afterAll(() => registry.stop());
  beforeEach(() => {
    registry.push('fw/line-1/sensor', '1.0.0', firmware);
  });
  afterEach(async () => {
    registry.fault = () => false;
    registry.remove('fw/line-1/sensor');
    await service.stop();
    registry.seen.length = 0;
  });

  const start = async (options: TestOptions = {}): Promise<void> => {
    service = await TestService.start(
      {
        REGISTRY_URL: registry.url,
        REPOSITORY_PREFIX: 'fw',
        REFRESH_INTERVAL: '1h',
        REGISTRY_TIMEOUT: '500ms',
        ...options,
      },
      { sources: [OwnSource] },
    );
  };
  const send = (source: string, body: unknown, headers: Record<string, string> = {}, query = ''): Promise<Response> =>
    fetch(`${service.url}/webhooks/${source}${query}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: typeof body === 'string' ? body : JSON.stringify(body),
    });
  const sendSample = ({ source, body, headers }: Sample): Promise<Response> => send(source, body, headers);
  const current = (): Promise<string | number> => service.versionOf('line-1/sensor');

  it.each(pushSamples())('of $source ($name) refresh the right device', async (sample) => {
    await start();
    expect(await current()).toBe('1.0.0');
    registry.push('fw/line-1/sensor', '1.1.0', newer);
    const response = await sendSample(sample);
    expect({ status: response.status, body: await response.json() }).toEqual({ status: 200, body: { queued: 1 } });
    await until(async () => (await current()) === '1.1.0', 'the new release');
  });

  it.each(IGNORED)('of $source ($name) are answered and ignored', async (sample) => {
    await start();
    const response = await sendSample(sample);
    expect({ status: response.status, body: await response.json() }).toEqual({ status: 200, body: { queued: 0 } });
    expect(registry.seen).toEqual([]);
    expect(await service.metrics()).toContain(`otaflux_webhooks_total{source="${sample.source}",result="ignored"} 1`);
  });

  it('of a source that a team adds are read, too', async () => {
    await start();
    expect(await (await send('own', { what: 'fw/line-1/sensor' })).json()).toEqual({ queued: 1 });
    await until(() => service.events('release.changed').length === 1, 'the device to be known');
  });

  it('make a device known that nobody has asked for', async () => {
    await start();
    await send('generic', { repository: 'fw/line-1/sensor' });
    await until(() => service.events('release.changed').length === 1, 'the release');
    registry.seen.length = 0;
    expect(await current()).toBe('1.0.0');
    expect(registry.seen).toEqual([]);
  });

  it.each([
    ['harbor', '{', 400, /not JSON/],
    ['harbor', '[]', 400, /expected object/i],
    ['harbor', { type: 7 }, 400, /^type: /],
    [
      'harbor',
      { type: 'PUSH_ARTIFACT', event_data: { repository: {} } },
      400,
      /^event_data\.repository\.repo_full_name: /,
    ],
    ['distribution', {}, 400, /^events: /],
    ['distribution', { events: [{ action: 'push', target: {} }] }, 400, /^events\.0\.target\.repository: /],
    ['generic', { repository: 1 }, 400, /^repository: /],
    ['nobody', {}, 404, /no webhook "nobody", there are harbor, distribution/],
  ])('to %s with %j: %d', async (source, body, status, message) => {
    await start();
    const response = await send(source, body);
    const { message: text } = (await response.json()) as { message: string };
    expect({ status: response.status, text }).toEqual({ status, text: expect.stringMatching(message) });
    expect(text).not.toContain('\n');
    expect(response.headers.get('connection')).toBe('close');
  });

  it('over 1 MiB are refused, with a length and without', async () => {
    await start();
    expect((await send('generic', 'x'.repeat(1_100_000))).status).toBe(413);
    const stream = new ReadableStream({
      start(controller) {
        for (let i = 0; i < 30; i++) controller.enqueue(Buffer.alloc(50_000, 0x20));
        controller.close();
      },
    });
    const init = { method: 'POST', body: stream, duplex: 'half' } as RequestInit;
    const status = await fetch(`${service.url}/webhooks/generic`, init).then(
      (response) => response.status,
      () => 413,
    );
    expect(status).toBe(413);
  });

  it('by another method get 405, of another type 415', async () => {
    await start();
    const wrong = await fetch(`${service.url}/webhooks/harbor`);
    expect({ status: wrong.status, allow: wrong.headers.get('allow') }).toEqual({ status: 405, allow: 'POST' });
    expect((await send('harbor', '<xml/>', { 'content-type': 'application/xml' })).status).toBe(415);
    const form = `payload=${encodeURIComponent(JSON.stringify(pushSamples().find(({ source }) => source === 'github')?.body))}`;
    const headers = { 'content-type': 'application/x-www-form-urlencoded', 'x-github-event': 'registry_package' };
    expect((await send('github', form, headers)).status).toBe(200);
  });

  describe('with a secret', () => {
    const body = JSON.stringify({ repository: 'fw/line-1/sensor' });
    const basic = (text: string): string => `Basic ${Buffer.from(text).toString('base64')}`;
    const hmac = (secret: string, text = body): string => createHmac('sha256', secret).update(text).digest('hex');

    it.each([
      ['generic', { authorization: 'Bearer first-secret' }, ''],
      ['generic', { authorization: 'second-secret' }, ''],
      ['generic', { authorization: basic('user:second-secret') }, ''],
      ['generic', { 'x-webhook-token': 'first-secret' }, ''],
      ['gitlab', { 'x-gitlab-token': 'first-secret' }, ''],
      ['artifactory', { 'x-jfrog-event-auth': 'first-secret' }, ''],
      ['generic', { 'x-signature-256': `sha256=${hmac('second-secret')}` }, ''],
      ['generic', {}, '?token=first-secret'],
    ])('%s lets in %j%s', async (source, headers, query) => {
      await start({ WEBHOOK_SECRET: 'first-secret,second-secret' });
      expect((await send(source, body, headers, query)).status).not.toBe(401);
    });

    it.each([
      ['generic', {}, ''],
      ['generic', { authorization: 'Bearer wrong' }, ''],
      ['generic', { authorization: 'Bearer ' }, ''],
      ['generic', { authorization: basic('first-secret:') }, ''],
      ['harbor', { 'x-gitlab-token': 'first-secret' }, ''],
      ['github', { 'x-hub-signature-256': `sha256=${hmac('wrong')}` }, ''],
      ['github', { 'x-hub-signature-256': `sha256=${hmac('first-secret', 'another body')}` }, ''],
      ['generic', {}, '?token=first'],
    ])('%s refuses %j%s', async (source, headers, query) => {
      await start({ WEBHOOK_SECRET: 'first-secret,second-secret' });
      expect((await send(source, body, headers, query)).status).toBe(401);
      expect(JSON.stringify(service.logs)).not.toContain('first-secret');
    });

    it('is checked before the body is read', async () => {
      await start({ WEBHOOK_SECRET: 'first-secret' });
      expect((await send('generic', '{')).status).toBe(401);
    });
  });

  it('are answered while the registry hangs, and what they tell is not lost', async () => {
    await start({ REGISTRY_TIMEOUT: '4s' });
    expect(await current()).toBe('1.0.0');
    registry.fault = () => true;
    const times: number[] = [];
    await Promise.all(
      Array.from({ length: 50 }, async (_value, i) => {
        const startedMs = performance.now();
        const response = await send('generic', { repository: `fw/${i % 2 ? 'line-1/sensor' : `other-${i}`}` });
        expect(response.status).toBe(200);
        times.push(performance.now() - startedMs);
      }),
    );
    const p95 = times.sort((a, b) => a - b)[47] ?? Infinity;
    process.stdout.write(`50 webhooks while the registry hangs: p95 ${p95.toFixed(0)} ms\n`);
    // Whoever waited for the registry would take four seconds.
    expect(p95).toBeLessThan(2_000);
    registry.push('fw/line-1/sensor', '1.1.0', newer);
    registry.fault = () => false;
    await until(async () => (await current()) === '1.1.0', 'the queue to come back to it', 20_000);
  });

  it('1,000 at once for one device cost two refreshes', async () => {
    await start();
    await current();
    registry.push('fw/line-1/sensor', '1.1.0', newer);
    registry.seen.length = 0;
    for (let i = 0; i < 20; i++)
      await Promise.all(
        Array.from({ length: 50 }, () => send('generic', { repository: 'fw/line-1/sensor', tag: '1.1.0' })),
      );
    await until(async () => (await current()) === '1.1.0', 'the new release');
    await until(
      async () => (await service.metrics()).includes('otaflux_webhook_queue_depth 0'),
      'the queue to be empty',
    );
    expect(registry.seen.length).toBeLessThanOrEqual(40);
  });

  it('that come before the tag are looked for again', async () => {
    await start();
    await current();
    await send('generic', { repository: 'fw/line-1/sensor', tag: '1.1.0' });
    await until(() => registry.count('tags') === 2, 'the first look');
    registry.push('fw/line-1/sensor', '1.1.0', newer);
    await until(async () => (await current()) === '1.1.0', 'the second look');
  });

  it('of a push before its signature: devices keep the release, and get the new one once it is signed', async () => {
    const key = newKey();
    signBundle(registry, 'fw/line-1/sensor', registry.push('fw/line-1/sensor', '1.0.0', firmware), key);
    await start({ COSIGN_PUB_KEY: key.pem });
    expect(await current()).toBe('1.0.0');
    const digest = registry.push('fw/line-1/sensor', '1.1.0', newer);
    await send('generic', { repository: 'fw/line-1/sensor', tag: '1.1.0' });
    await until(() => service.events('release.untrusted').length === 1, 'the first look');
    expect(await current()).toBe('1.0.0');
    signBundle(registry, 'fw/line-1/sensor', digest, key);
    await until(async () => (await current()) === '1.1.0', 'the signature to be seen');
  });

  it('10,000 mutated bodies: never a 5xx, never a crash', async () => {
    await start();
    const samples = [...pushSamples(), ...IGNORED];
    const statuses = new Map<number, number>();
    const mutate = (text: string): string => {
      const bytes = Buffer.from(text);
      for (let i = randomInt(1, 4); i > 0; i--) {
        const at = randomInt(bytes.length);
        const kind = randomInt(3);
        if (kind === 0) bytes[at] = randomInt(256);
        else if (kind === 1) return `${text.slice(0, at)}${text.slice(at + randomInt(1, 20))}`;
        else
          return text.replaceAll(/"[^"]{1,12}"/g, (match) =>
            randomInt(8) ? match : ['null', '7', '[]', '{}', '"__proto__"'][randomInt(5)]!,
          );
      }
      return bytes.toString('latin1');
    };
    for (let round = 0; round < 200; round++) {
      await Promise.all(
        Array.from({ length: 50 }, async () => {
          const { source, body, headers } = samples[randomInt(samples.length)]!;
          const response = await send(source, mutate(JSON.stringify(body)), headers);
          await response.arrayBuffer();
          statuses.set(response.status, (statuses.get(response.status) ?? 0) + 1);
        }),
      );
    }
    expect([...statuses.keys()].filter((status) => status >= 500)).toEqual([]);
    expect(await current()).toBe('1.0.0');
  }, 120_000);
});
