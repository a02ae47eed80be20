import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { createHmac, randomInt } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import type { Test } from 'supertest';
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
        REGISTRY_TIMEOUT: '1300ms',
        ...options,
      },
      { sources: [OwnSource] },
    );
  };
  const send = (source: string, body: unknown, headers: Record<string, string> = {}, query = ''): Test =>
    service.api
      .post(`/webhooks/${source}${query}`)
      .set({ 'content-type': 'application/json', connection: 'keep-alive', ...headers })
      .send(typeof body === 'string' ? body : JSON.stringify(body));
  const sendSample = ({ source, body, headers }: Sample): Test => send(source, body, headers);
  const current = (): Promise<string | number> => service.versionOf('line-1/sensor');

  it.each(pushSamples())('of $source ($name) refresh the right device', async (sample) => {
    await start();
    expect(await current()).toBe('1.0.0');
    registry.push('fw/line-1/sensor', '1.1.0', newer);
    const response = await sendSample(sample);
    expect({ status: response.status, body: response.body as unknown }).toEqual({ status: 200, body: { queued: 1 } });
    await until(async () => (await current()) === '1.1.0', 'the new release');
  });

  it.each(IGNORED)('of $source ($name) are answered and ignored', async (sample) => {
    await start();
    const response = await sendSample(sample);
    expect({ status: response.status, body: response.body as unknown }).toMatchObject({
      status: 200,
      body: { queued: 0 },
    });
    expect(registry.asked).toEqual([]);
    expect(await service.metrics()).toContain(`otaflux_webhooks_total{source="${sample.source}",result="ignored"} 1`);
  });

  it('of a source that a team adds are read, too', async () => {
    await start({ WEBHOOK_SECRET: 'a-secret-for-tests' });
    expect((await send('own', { what: 'fw/line-1/sensor' }, {}, '?token=a-secret-for-tests')).body).toEqual({
      queued: 1,
    });
    await until(() => service.events('release.changed').length === 1, 'the device to be known');
  });

  it('make a device known that nobody has asked for, where they show a secret', async () => {
    await start({ WEBHOOK_SECRET: 'a-secret-for-tests' });
    await send('generic', { repository: 'fw/line-1/sensor' }, {}, '?token=a-secret-for-tests');
    await until(() => service.events('release.changed').length === 1, 'the release');
    registry.seen.length = 0;
    expect(await current()).toBe('1.0.0');
    expect(registry.asked).toEqual([]);
  });

  it.each([
    ['harbor', '{', 400, /not JSON/],
    ['harbor', '[]', 400, /expected an object/],
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
    ['nobody', {}, 404, /there is no webhook source "nobody"\. Use one of harbor, distribution/],
  ])('to %s with %j: %d', async (source, body, status, message) => {
    await start();
    const response = await send(source, body);
    const { message: text } = response.body as { message: string };
    expect({ status: response.status, text }).toEqual({ status, text: expect.stringMatching(message) });
    expect(text).not.toContain('\n');
    expect(response.headers.connection).toBe('close');
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
    const wrong = await service.api.get('/webhooks/harbor');
    expect({ status: wrong.status, allow: wrong.headers.allow }).toEqual({ status: 405, allow: 'POST' });
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
      ['generic', { authorization: 'Bearer first-secret-of-two' }, ''],
      ['generic', { authorization: 'second-secret-of-two' }, ''],
      ['generic', { authorization: basic('user:second-secret-of-two') }, ''],
      ['generic', { 'x-webhook-token': 'first-secret-of-two' }, ''],
      ['gitlab', { 'x-gitlab-token': 'first-secret-of-two' }, ''],
      ['artifactory', { 'x-jfrog-event-auth': 'first-secret-of-two' }, ''],
      ['generic', { 'x-signature-256': `sha256=${hmac('second-secret-of-two')}` }, ''],
      ['generic', {}, '?token=first-secret-of-two'],
    ])('%s lets in %j%s', async (source, headers, query) => {
      await start({ WEBHOOK_SECRET: 'first-secret-of-two,second-secret-of-two' });
      expect((await send(source, body, headers, query)).status).not.toBe(401);
    });

    it.each([
      ['generic', {}, ''],
      ['generic', { authorization: 'Bearer wrong' }, ''],
      ['generic', { authorization: 'Bearer ' }, ''],
      ['generic', { authorization: basic('first-secret-of-two:') }, ''],
      ['harbor', { 'x-gitlab-token': 'first-secret-of-two' }, ''],
      ['github', { 'x-hub-signature-256': `sha256=${hmac('wrong')}` }, ''],
      ['github', { 'x-hub-signature-256': `sha256=${hmac('first-secret-of-two', 'another body')}` }, ''],
      ['generic', {}, '?token=first'],
    ])('%s refuses %j%s', async (source, headers, query) => {
      await start({ WEBHOOK_SECRET: 'first-secret-of-two,second-secret-of-two' });
      expect((await send(source, body, headers, query)).status).toBe(401);
      expect(JSON.stringify(service.logs)).not.toContain('first-secret-of-two');
    });

    it('is checked before the body is read', async () => {
      await start({ WEBHOOK_SECRET: 'first-secret-of-two' });
      expect((await send('generic', '{')).status).toBe(401);
    });
  });

  it('are answered while the registry hangs, and what they tell is not lost', async () => {
    await start({ REGISTRY_TIMEOUT: '20m' });
    expect(await current()).toBe('1.0.0');
    const hanging: ServerResponse[] = [];
    registry.fault = (_request, response) => hanging.push(response) > 0;
    // Whoever waited for the registry would never be answered.
    await Promise.all(
      Array.from({ length: 50 }, async (_value, i) => {
        const response = await send('generic', { repository: `fw/${i % 2 ? 'line-1/sensor' : `other-${i}`}` });
        expect(response.status).toBe(200);
      }),
    );
    registry.push('fw/line-1/sensor', '1.1.0', newer);
    registry.fault = () => false;
    for (const response of hanging) response.destroy();
    await until(async () => (await current()) === '1.1.0', 'the queue to come back to it');
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
    expect(registry.asked.length).toBeLessThanOrEqual(40);
  });

  it('that come before the tag are looked for again', async () => {
    await start();
    await current();
    await send('generic', { repository: 'fw/line-1/sensor', tag: '1.1.0' });
    await until(() => registry.count('tags') === 2, 'the first look');
    registry.push('fw/line-1/sensor', '1.1.0', newer);
    await until(async () => (await current()) === '1.1.0', 'the second look');
  });

  it.each([
    [
      'other/esp32',
      '"other/esp32" is outside of "fw/", below which devices are. Check REPOSITORY_PREFIX and the path in REGISTRY_URL',
    ],
    ['fw', '"fw" is outside of "fw/", below which devices are. Check REPOSITORY_PREFIX and the path in REGISTRY_URL'],
    ['FW/Esp32', '"FW/Esp32" is not a repository name'],
  ])('of a repository that is no device (%s) say so, in the answer and in the log', async (repository, reason) => {
    await start({ WEBHOOK_SECRET: 'a-secret-for-tests' });
    const answer = await send('generic', { repository }, {}, '?token=a-secret-for-tests');
    expect({ status: answer.status, body: answer.body as unknown }).toEqual({
      status: 200,
      body: { queued: 0, reason },
    });
    expect(service.events('webhook.received')).toMatchObject([{ queued: 0, unknown: 1, reason }]);
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

  describe('without a secret', () => {
    it.each([
      ['generic', { repository: 'fw/made-up' }],
      ['generic', { repository: 'fw/line-1/sensor', tag: '1.0.0' }],
      [
        'harbor',
        {
          type: 'PUSH_ARTIFACT',
          event_data: { repository: { repo_full_name: 'fw/line-1/sensor', name: 'line-1/sensor' } },
        },
      ],
      ['distribution', { events: [{ action: 'push', target: { repository: 'fw/line-1/sensor', tag: '1.0.0' } }] }],
    ])('to %s, of a device that nobody has asked for, ask nothing of the registry: %j', async (source, body) => {
      await start();
      const reason = expect.stringMatching(
        /is the repository of no device that has a release or is watched\. Set WEBHOOK_SECRET/,
      );
      expect((await send(source, body)).body).toEqual({ queued: 0, reason });
      expect(service.events('webhook.received')).toMatchObject([{ queued: 0, unknown: 1, reason }]);
      expect((await send('generic', { repository: 'fw/line-1/sensor' })).body).toEqual({ queued: 0, reason });
      expect(registry.asked).toEqual([]);
      expect(await current()).toBe('1.0.0');
      expect((await send('generic', { repository: 'fw/line-1/sensor' })).body).toEqual({ queued: 1 });
    });

    it('refresh what WATCH names', async () => {
      await start({ WATCH: 'line-1/sensor' });
      await until(() => service.events('release.changed').length === 1, 'the first round');
      registry.push('fw/line-1/sensor', '1.1.0', newer);
      expect((await send('generic', { repository: 'fw/line-1/sensor' })).body).toEqual({ queued: 1 });
      await until(() => service.events('release.changed').length === 2, 'the refresh');
      expect((await send('generic', { repository: 'fw/line-1/other' })).body).toMatchObject({ queued: 0 });
    });

    it('look once at what a glob of WATCH would name, but not at any number of it', async () => {
      await start({ WATCH: 'line-*/**', REGISTRY_TIMEOUT: '20m' });
      await until(() => service.events('watch.failed').length === 1, 'a registry that lists nothing');
      await send('generic', { repository: 'fw/line-1/sensor', tag: '1.0.0' });
      await until(() => service.events('release.changed').length === 1, 'the refresh');
      const held: (() => void)[] = [];
      registry.fault = (_request, response) => held.push(() => response.writeHead(404).end()) > 0;
      const answers = await Promise.all(
        Array.from({ length: 300 }, async (_value, i) => {
          const answer = (await send('generic', { repository: `fw/line-2/d${i}` })).body as {
            queued: number;
          };
          return answer.queued;
        }),
      );
      // The device of before may still rest in one of the 100 places.
      expect([99, 100]).toContain(answers.filter((queued) => queued === 1).length);
      // A device that is known has a place of its own.
      registry.fault = (request, response) =>
        !request.url?.includes('line-1') && held.push(() => response.writeHead(404).end()) > 0;
      registry.push('fw/line-1/sensor', '1.1.0', newer);
      await send('generic', { repository: 'fw/line-1/sensor', tag: '1.1.0' });
      await until(() => service.events('release.changed').length === 2, 'the known device');
      registry.fault = () => false;
      for (const end of held) end();
      await until(
        async () => (await service.metrics()).includes('otaflux_webhook_queue_depth 0'),
        'the queue to be empty',
      );
    });
  });

  it('of known devices go first, with a secret, too', async () => {
    await start({ WEBHOOK_SECRET: 'a-secret-for-tests', REGISTRY_TIMEOUT: '20m' });
    expect(await current()).toBe('1.0.0');
    const held: (() => void)[] = [];
    registry.fault = (request, response) =>
      !request.url?.includes('line-1') && held.push(() => response.writeHead(404).end()) > 0;
    await Promise.all(
      Array.from({ length: 50 }, (_value, i) =>
        send('generic', { repository: `fw/new-${i}` }, {}, '?token=a-secret-for-tests'),
      ),
    );
    registry.push('fw/line-1/sensor', '1.1.0', newer);
    await send('generic', { repository: 'fw/line-1/sensor', tag: '1.1.0' }, {}, '?token=a-secret-for-tests');
    await until(() => service.events('release.changed').length === 2, 'the known device');
    registry.fault = () => false;
    for (const end of held) end();
  });

  it('without a change are logged at debug: CNCF Distribution reports every pull, also those of this server', async () => {
    await start();
    const pull = { events: [{ action: 'pull', target: { repository: 'fw/line-1/sensor' } }] };
    expect((await send('distribution', pull)).body).toEqual({ queued: 0 });
    await send('generic', { repository: 'other/esp32' });
    expect(service.events('webhook.received')).toMatchObject([
      { level: 'debug', source: 'distribution', changes: 0 },
      { level: 'info', source: 'generic', changes: 1 },
    ]);
  });

  describe('of Harbor, whose full name is not ours', () => {
    const harbor = (name: string, full = `library/${name}`): object => ({
      type: 'PUSH_ARTIFACT',
      event_data: {
        resources: [{ tag: '1.1.0', digest: 'sha256:0', resource_url: `harbor.example.com/${full}:1.1.0` }],
        repository: { name, namespace: 'library', repo_full_name: full, repo_type: 'private' },
      },
    });
    const path = { REPOSITORY_PREFIX: '' };
    const startBehindPath = (options: TestOptions = {}): Promise<void> =>
      start({ ...path, REGISTRY_URL: `${registry.url}/fw`, ...options });

    it.each([{}, { WEBHOOK_SECRET: 'a-secret-for-tests' }])(
      'refresh the device of its name, when it is known: %j',
      async (options) => {
        await startBehindPath(options);
        expect(await current()).toBe('1.0.0');
        registry.push('fw/line-1/sensor', '1.1.0', newer);
        expect((await send('harbor', harbor('line-1/sensor'), {}, '?token=a-secret-for-tests')).body).toEqual({
          queued: 1,
        });
        await until(async () => (await current()) === '1.1.0', 'the new release');
      },
    );

    it.each([{}, { WEBHOOK_SECRET: 'a-secret-for-tests' }])(
      'also when only the registry knows it: %j',
      async (options) => {
        await startBehindPath(options);
        expect((await send('harbor', harbor('line-1/sensor'), {}, '?token=a-secret-for-tests')).body).toEqual({
          queued: 1,
        });
        await until(() => service.events('release.changed').length === 1, 'the device to be known');
        expect(service.events('release.changed')).toMatchObject([{ device: 'line-1/sensor', version: '1.0.0' }]);
      },
    );

    it.each([
      ['fw', 'other/line-1/sensor'],
      ['fw/line-1', 'fw/line-2/sensor'],
    ])('do not count outside of the prefix %s: %s gets the reason', async (prefix, full) => {
      await start({ REPOSITORY_PREFIX: prefix, WATCH: 'line-1/sensor,sensor' });
      const asked = registry.asked.length;
      for (const query of ['', '?token=a-secret-for-tests'])
        expect((await send('harbor', harbor('line-1/sensor', full), {}, query)).body).toEqual({
          queued: 0,
          reason: expect.stringContaining(`"${full}" is outside of "${prefix}/"`),
        });
      expect(registry.asked.slice(asked).filter(({ url }) => url.includes('line-2'))).toEqual([]);
    });

    it('name the device below the prefix, behind a path that Harbor does not know', async () => {
      await start({ REGISTRY_URL: `${registry.url}/fw`, REPOSITORY_PREFIX: 'line-1' });
      expect((await send('harbor', harbor('sensor', 'line-1/sensor'))).body).toEqual({ queued: 1 });
      await until(() => service.events('release.changed').length === 1, 'the device to be known');
      expect(service.events('release.changed')).toMatchObject([{ device: 'sensor', version: '1.0.0' }]);
    });

    it('also in the CloudEvents format', async () => {
      await startBehindPath();
      const { event_data: data } = harbor('line-1/sensor') as { event_data: object };
      await send(
        'harbor',
        { specversion: '1.0', type: 'harbor.artifact.pushed', data },
        {
          'content-type': 'application/cloudevents+json',
        },
      );
      await until(() => service.events('release.changed').length === 1, 'the device to be known');
    });

    it('ask once about a name that nobody knows, and never about what is no name', async () => {
      await startBehindPath();
      for (const name of ['../../api', 'UPPER', '', 'a//b'])
        expect((await send('harbor', harbor(name))).body).toMatchObject({ queued: 0 });
      expect(registry.asked).toEqual([]);
      expect((await send('harbor', harbor('nobody'))).body).toEqual({ queued: 1 });
      await until(async () => (await service.metrics()).includes('otaflux_webhook_queue_depth 0'), 'the answer');
      expect(registry.asked.map(({ url }) => url.split('?')[0])).toEqual(['/v2/fw/nobody/tags/list']);
    });

    it('do not hide a new device behind a known one with a shorter name', async () => {
      registry.push('line-1/sensor', '1.0.0', firmware);
      registry.push('sensor', '1.0.0', firmware);
      await start({ ...path, WEBHOOK_SECRET: 'a-secret-for-tests' });
      expect(await service.versionOf('sensor')).toBe('1.0.0');
      await send('harbor', harbor('sensor', 'line-1/sensor'), {}, '?token=a-secret-for-tests');
      await until(() => service.events('release.changed').length === 2, 'the new device');
    });
  });

  describe('count against limits', () => {
    const RATE = { ADDRESS_RATE_LIMIT: '6/m' };

    it('of their address, whatever they say, together with device requests', async () => {
      await start({ ...RATE, TRUST_PROXY: '127.0.0.1' });
      const from = (address: string, path: string, init: RequestInit = {}): Promise<Response> =>
        fetch(`${service.url}${path}`, { ...init, headers: { 'x-forwarded-for': address } });
      const hook = { method: 'POST', body: '{"repository":"fw/line-1/sensor"}' };
      expect((await from('1.1.1.1', '/webhooks/generic', hook)).status).toBe(200);
      expect((await from('1.1.1.1', '/version?device=line-1/sensor')).status).toBe(200);
      for (const [path, init] of [
        ['/webhooks/generic', hook],
        ['/webhooks/nobody', hook],
        ['/webhooks/harbor', {}],
      ] as const) {
        const refused = await from('1.1.1.1', path, init);
        expect(refused.status).toBe(429);
        expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
      }
      expect((await from('1.1.1.1', '/version?device=line-1/sensor')).status).toBe(429);
      expect((await from('1.1.1.2', '/webhooks/generic', hook)).status).toBe(200);
      // An IPv6 subscriber has 2^64 addresses.
      expect((await from('2001:db8::1', '/webhooks/generic', hook)).status).toBe(200);
      expect((await from('2001:db8::2', '/webhooks/generic', hook)).status).toBe(200);
      expect((await from('2001:db8::3:4:5:6', '/webhooks/generic', hook)).status).toBe(429);
      expect((await from('2001:db8:0:1::1', '/webhooks/generic', hook)).status).toBe(200);
    });

    it('of wrong secrets, which are logged, but not a line each; the right one still gets in', async () => {
      await start({ WEBHOOK_SECRET: 'right-secret-here' });
      const statuses: number[] = [];
      for (let i = 0; i < 200; i++)
        statuses.push((await send('generic', { repository: 'fw/line-1/sensor' }, {}, `?token=guess-${i}`)).status);
      expect(statuses.slice(0, 20)).toEqual(Array.from({ length: 20 }, () => 401));
      expect(statuses.slice(30)).toEqual(Array.from({ length: 170 }, () => 429));
      const lines = service.events('webhook.unauthorized');
      expect(lines[0]).toMatchObject({
        level: 'warn',
        source: 'generic',
        address: '127.0.0.1',
        reason: expect.any(String),
      });
      expect(lines).toHaveLength(50);
      expect(JSON.stringify(service.logs)).not.toContain('guess-');
      expect(await service.metrics()).toMatch(/otaflux_limited_total\{limit="secret"\} 1[78]\d/);
      expect((await send('generic', { repository: 'fw/line-1/sensor' }, {}, '?token=right-secret-here')).status).toBe(
        200,
      );
    });
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
          statuses.set(response.status, (statuses.get(response.status) ?? 0) + 1);
        }),
      );
    }
    expect([...statuses.keys()].filter((status) => status >= 500)).toEqual([]);
    expect(await current()).toBe('1.0.0');
  });
});
