import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { sign } from 'node:crypto';
import { firmwareBytes } from '../support/bytes.js';
import { error, FakeRegistry, type Fault, type Step } from '../support/fake-registry.js';
import { TestService, until } from '../support/service.js';
import {
  dsseBundle,
  legacyLayer,
  newKey,
  payloadFor,
  putBundles,
  putLegacy,
  signBundle,
  signLegacy,
  statementFor,
} from '../support/sign.js';

const ours = newKey();
const theirs = newKey();
const older = firmwareBytes(20_000, 'older');
const newer = firmwareBytes(20_000, 'newer');

type Answer = 'cut' | 'wrong bytes' | 'a login page' | 'nothing' | number;
const answer = (what: Answer): Fault => {
  return (_request, response) => {
    if (typeof what === 'number') error(response, what, 'NO');
    else if (what === 'wrong bytes') response.writeHead(200, { 'Content-Length': 9 }).end('not these');
    else if (what === 'a login page') response.writeHead(200, { 'Content-Type': 'text/html' }).end('<html>');
    else if (what === 'nothing') response.writeHead(200).end();
    else {
      response.writeHead(200);
      response.write('{"cut', () => response.destroy());
    }
    return true;
  };
};
const at =
  (steps: Step | Step[], what: Answer): Fault =>
  (request, response, kind, step) =>
    [steps].flat().includes(step) && answer(what)(request, response, kind, step);

/** Status for a device without a release, by what the registry answers. */
const FAILURES: [Answer, number][] = [
  [401, 502],
  [403, 502],
  [429, 503],
  [500, 503],
  [503, 503],
  ['cut', 503],
];
/** The same for what answers a tag or an index with something else. */
const OTHERS: [Answer, number][] = [
  ['a login page', 502],
  ['nothing', 502],
];

describe('where signatures are looked for in two ways', () => {
  const registry = new FakeRegistry();
  let service: TestService;
  let digest = '';

  beforeAll(() => registry.start());
  afterAll(() => registry.stop());
  beforeEach(() => {
    signLegacy(registry, 'fw', registry.push('fw', '1.0.0', older), ours);
    digest = registry.push('fw', '2.0.0', newer);
  });
  afterEach(async () => {
    registry.fault = () => false;
    registry.hasReferrers = false;
    registry.seen.length = 0;
    registry.remove('fw');
    await service.stop();
  });
  const start = async (): Promise<void> => {
    service = await TestService.start({
      REGISTRY_URL: registry.url,
      REGISTRY_TIMEOUT: '1300ms',
      REFRESH_INTERVAL: '0',
      COSIGN_PUB_KEY: ours.pem,
    });
  };
  /** A fault of what belongs to the newer version only. */
  const ofNewer =
    (fault: Fault): Fault =>
    (request, response, kind, step) => {
      const own = digest.replace('sha256:', '');
      const named = request.url?.includes(own) === true;
      return (named || step === 'signature blob' || step === 'bundle manifest') && fault(request, response, kind, step);
    };

  it.each<Answer>([401, 403, 429, 500, 503, 'cut'])(
    'a good .sig counts though the fallback tag is answered with %s',
    async (what) => {
      signLegacy(registry, 'fw', digest, ours);
      registry.fault = ofNewer(at('fallback tag', what));
      await start();
      expect(await service.versionOf('fw')).toBe('2.0.0');
    },
  );

  it.each<Answer>([401, 403, 500, 'cut'])(
    'a good .sig counts though the referrers API is answered with %s',
    async (what) => {
      signLegacy(registry, 'fw', digest, ours);
      registry.fault = ofNewer(at('referrers', what));
      await start();
      expect(await service.versionOf('fw')).toBe('2.0.0');
    },
  );

  it.each<Answer>([401, 403, 429, 500, 'cut'])(
    'a good bundle counts though the .sig tag is answered with %s',
    async (what) => {
      signBundle(registry, 'fw', digest, ours);
      registry.fault = ofNewer(at('.sig manifest', what));
      await start();
      expect(await service.versionOf('fw')).toBe('2.0.0');
    },
  );

  it.each(
    (['fallback tag', 'referrers', '.sig manifest'] as const).flatMap((step) =>
      // For a referrers API they mean that there is none.
      [...FAILURES, ...(step === 'referrers' ? [] : OTHERS)].map(([what, status]) => ({ step, what, status })),
    ),
  )(
    'nothing good is found and $step is answered with $what: no older version takes its place',
    async ({ step, what, status }) => {
      registry.fault = ofNewer(at(step, what));
      await start();
      expect(await service.versionOf('fw')).toBe(status);
      expect(service.events('release.untrusted')).toEqual([]);
    },
  );

  it.each(FAILURES)('a failure (%s) is not hidden by a signature that is not good', async (what, status) => {
    signLegacy(registry, 'fw', digest, theirs);
    registry.fault = ofNewer(at('fallback tag', what));
    await start();
    expect(await service.versionOf('fw')).toBe(status);
    expect(service.events('release.untrusted')).toEqual([]);
  });

  const twoLegacy = (): string[] => {
    const payload = payloadFor(digest);
    const odd = payloadFor(digest, { reference: 'registry.example/fw' });
    const layer = (bytes: Buffer): object => legacyLayer(registry, 'fw', bytes, sign('sha256', bytes, ours.privateKey));
    putLegacy(registry, 'fw', digest, [layer(payload), layer(odd)]);
    return [payload, odd].map((bytes) => registry.putBlob('fw', bytes));
  };
  const twoBundles = (): string[] => {
    const bundles = [dsseBundle(statementFor(digest), ours), dsseBundle(statementFor(digest, digest), ours)];
    putBundles(registry, 'fw', digest, bundles);
    return bundles.map((bundle) => registry.putBlob('fw', Buffer.from(JSON.stringify(bundle))));
  };
  const BROKEN: Answer[] = [403, 404, 500, 'cut', 'wrong bytes'];

  describe.each([
    ['legacy', twoLegacy],
    ['bundle', twoBundles],
  ])('of two %s signatures', (_form, put) => {
    it.each(BROKEN.flatMap((what) => [0, 1].map((broken) => [what, broken] as const)))(
      'the other counts where one blob is answered with %s (%i)',
      async (what, broken) => {
        const blob = put()[broken] ?? '';
        registry.fault = (request, response, kind, step) =>
          request.url?.includes(blob) === true && answer(what)(request, response, kind, step);
        await start();
        expect(await service.versionOf('fw')).toBe('2.0.0');
      },
    );

    it.each<[Answer, number]>([
      [403, 502],
      [500, 503],
      ['cut', 503],
      ['wrong bytes', 502],
      ['a login page', 502],
      ['nothing', 502],
    ])('neither can be read (%s): no older version takes their place', async (what, status) => {
      const blobs = put();
      registry.fault = (request, response, kind, step) =>
        blobs.some((blob) => request.url?.includes(blob) === true) && answer(what)(request, response, kind, step);
      await start();
      expect(await service.versionOf('fw')).toBe(status);
      expect(service.events('release.untrusted')).toEqual([]);
    });
  });

  it.each<[Answer, number]>([
    [403, 502],
    [500, 503],
    ['cut', 503],
    ['wrong bytes', 502],
  ])('the manifest of a bundle is answered with %s: no older version takes its place', async (what, status) => {
    signBundle(registry, 'fw', digest, ours);
    registry.fault = ofNewer(at('bundle manifest', what));
    await start();
    expect(await service.versionOf('fw')).toBe(status);
    signLegacy(registry, 'fw', digest, ours);
    await until(async () => (await service.versionOf('fw')) === '2.0.0', 'the good .sig to be found');
  });

  it('HEAD names a digest that is not there: no older version takes its place', async () => {
    signLegacy(registry, 'fw', digest, ours);
    registry.fault = (_request, response, _kind, step) => {
      if (step !== 'manifest HEAD') return false;
      const headers = { 'Content-Length': 500, 'Docker-Content-Digest': `sha256:${'0'.repeat(64)}` };
      response.writeHead(200, { 'Content-Type': 'application/vnd.oci.image.manifest.v1+json', ...headers }).end();
      return true;
    };
    await start();
    expect(await service.versionOf('fw')).toBe(502);
    expect(service.events('release.untrusted')).toEqual([]);
  });

  it('a known release goes on being served, and the good signature is found once the fault is over', async () => {
    registry.repository('fw').tags.delete('2.0.0');
    await start();
    expect(await service.versionOf('fw')).toBe('1.0.0');
    registry.repository('fw').tags.set('2.0.0', digest);
    signBundle(registry, 'fw', digest, ours);
    registry.fault = ofNewer(at(['fallback tag', 'signature blob'], 403));
    expect(await service.versionOf('fw')).toBe('1.0.0');
    expect(service.events('refresh.failed').at(-1)).toMatchObject({ code: 'denied' });
    registry.fault = () => false;
    await until(async () => (await service.versionOf('fw')) === '2.0.0', 'the good bundle to be found');
  });

  it('what is there and is not good is still not trusted', async () => {
    signLegacy(registry, 'fw', digest, theirs);
    putBundles(registry, 'fw', digest, [Buffer.from('{}')]);
    await start();
    expect(await service.versionOf('fw')).toBe('1.0.0');
    expect(service.events('release.untrusted')).toHaveLength(1);
  });
});
