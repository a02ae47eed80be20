import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { firmwareBytes } from '../support/bytes.js';
import { error, FakeRegistry, INDEX, MANIFEST, type Step } from '../support/fake-registry.js';
import {
  ANSWERS,
  answerWrongly,
  BYTES,
  expectedOutcome,
  PLAIN_STEPS,
  SIGNATURE_STEPS,
  type Answer,
  type MatrixStep,
  type Outcome,
} from '../support/fault-matrix.js';
import { RawClient } from '../support/raw-client.js';
import { TestService, until, type LogLine } from '../support/service.js';
import { newKey, signBundle, signLegacy } from '../support/sign.js';
import { sample } from '../support/extent.js';

const folder = mkdtempSync(join(tmpdir(), 'otaflux-matrix-'));
const key = newKey();
const keyPath = join(folder, 'key.pub');
writeFileSync(keyPath, key.pem);
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

/** Its own bytes for each device and version: what another device has pulled is in the cache. */
const firmwareOf = (device: string, version: string): Buffer => firmwareBytes(BYTES, `${device} ${version}`);

/**
 * - `cold`: nobody has asked for the device; 1.0.0 and 2.0.0 are there, and a request about 2.0.0 is answered wrongly.
 * - `known`: 2.0.0 is served; 3.0.0 is pushed, and a request about it is answered wrongly.
 * - `unchanged`: 2.0.0 is served and still the newest, and a request about it is answered wrongly.
 */
type Situation = 'cold' | 'known' | 'unchanged';
/** The requests that a refresh makes when nothing has changed. */
const UNCHANGED_STEPS: readonly MatrixStep[] = ['token', 'tags', 'next page', 'manifest HEAD', 'manifest by tag'];

interface Case {
  readonly device: string;
  readonly situation: Situation;
  readonly answer: Answer;
  readonly outcome: Outcome;
  /** The last parts of the paths of requests about the newest version. */
  readonly references: Set<string>;
}

/** What a device got. */
interface Got {
  readonly status: number;
  readonly version: string | undefined;
  readonly bytes: Buffer;
}

const groups = sample(
  [
    ...PLAIN_STEPS.map((step) => ({ step, signed: false })),
    ...[...PLAIN_STEPS, ...SIGNATURE_STEPS].map((step) => ({ step, signed: true })),
  ],
  4,
);

/** What a group has seen. */
interface Seen {
  readonly registry: FakeRegistry;
  readonly cases: readonly Case[];
  readonly got: ReadonlyMap<string, readonly Got[]>;
  readonly logs: readonly LogLine[];
  /** When the faults began: what the start was too slow for is none of the matrix. */
  readonly sinceMs: number;
}

type Group = (typeof groups)[number];

const seen = new Map<Group, Seen>();

/** One after the other: Nest has one logger in a process, and it holds back what comes too often. */
beforeAll(async () => {
  for (const group of groups) seen.set(group, await run(group));
});

afterAll(async () => {
  await Promise.all([...seen.values()].map(({ registry }) => registry.stop()));
});

async function run(group: Group): Promise<Seen> {
  const { step, signed } = group;
  const registry = new FakeRegistry();
  const cases = casesOf(group);
  const got = new Map<string, Got[]>();
  await registry.start();
  registry.redirectsBlobs = step === 'blob after redirect';
  registry.hasReferrers = step === 'referrers';
  if (step === 'next page') registry.pageSize = 1;
  if (step === 'token') registry.auth = { user: 'robot', password: 'secret' };
  const service = await TestService.start({
    REGISTRY_URL: registry.url,
    // Long enough for a machine that is busy: every answer that is not held back has to come in time.
    REGISTRY_TIMEOUT: '2500ms',
    REFRESH_INTERVAL: '0',
    ...(step === 'token' && { REGISTRY_USERNAME: 'robot', REGISTRY_PASSWORD: 'secret' }),
    ...(signed && { COSIGN_PUB_KEY_PATH: keyPath }),
  });
  const push = (device: string, version: string): Set<string> => pushNewest(registry, device, version, step, signed);
  for (const one of cases) {
    push(one.device, '1.0.0');
    one.references.clear();
    for (const reference of push(one.device, '2.0.0')) one.references.add(reference);
  }
  // By GET alone, where HEAD is refused.
  registry.fault = (_request, response, _kind, asked) => refuseHead(step, asked, response);
  const known = cases.filter(({ situation }) => situation !== 'cold');
  await Promise.all(
    known.map(({ device }) => until(async () => (await service.versionOf(device)) === '2.0.0', device)),
  );
  for (const { device, references } of known.filter(({ situation }) => situation === 'known')) {
    references.clear();
    for (const reference of push(device, '3.0.0')) references.add(reference);
  }
  registry.tokens.clear();
  const sinceMs = Date.now();
  const byDevice = new Map(cases.map((one) => [one.device, one]));
  registry.fault = (request, response, _kind, asked) => {
    const one = byDevice.get(deviceOf(request));
    if (one && asked === step && isAbout(request, one.references, step)) {
      answerWrongly(one.answer, request, response);
      return true;
    }
    return refuseHead(step, asked, response);
  };
  // Twice: what is remembered of the first time must not change what the second comes to.
  for (let round = 0; round < 2; round++)
    await Promise.all(
      cases.map(async ({ device }) => {
        const list = got.get(device) ?? [];
        got.set(device, list);
        list.push(await ask(service, device));
      }),
    );
  await service.stop();
  return { registry, cases, got, logs: service.logs, sinceMs };
}

describe.each(groups)('one wrong answer to: $step (with keys: $signed)', (group) => {
  it.each(casesOf(group))('$situation, $answer: $outcome', ({ device, situation, outcome }) => {
    const { got, logs, sinceMs } = seen.get(group)!;
    const answers = (got.get(device) ?? []).map(({ status, version }) => ({ status, version }));
    const expected = answered(situation, outcome);
    expect(answers).toEqual([expected, expected]);
    for (const { version, bytes } of got.get(device) ?? [])
      if (version !== undefined) expect(bytes.equals(firmwareOf(device, version))).toBe(true);
    const events = logs.filter((line) => line.device === device && new Date(line.time as string).getTime() >= sinceMs);
    expect(events.filter(({ event }) => event === 'release.withdrawn')).toEqual([]);
    const failures = events.filter(({ event }) => event === 'refresh.failed');
    const isFailure =
      !['served', 'passed over'].includes(outcome) || (situation === 'unchanged' && outcome === 'passed over');
    expect(failures.length > 0).toBe(isFailure);
    const code = outcome === 'passed over' ? 'absent' : outcome;
    for (const failure of failures)
      expect(failure).toMatchObject({ code, ...(situation !== 'cold' && { serving: '2.0.0' }) });
  });

  it('leaves no connection behind', async () => {
    const { registry } = seen.get(group)!;
    await until(() => registry.connections === 0, 'the last connection to the registry');
  });
});

function casesOf(group: Group): Case[] {
  const { step } = group;
  const situations: Situation[] = ['cold', 'known', ...(UNCHANGED_STEPS.includes(step) ? ['unchanged' as const] : [])];
  return situations.flatMap((situation) =>
    sample(ANSWERS, 8).flatMap((answer): Case[] => {
      const outcome = expectedOutcome(step, answer);
      if (outcome === undefined) return [];
      const device = `group-${groups.indexOf(group)}-${situation}-${String(answer).toLowerCase().replace(' ', '-')}`;
      return [{ device, situation, answer, outcome, references: new Set() }];
    }),
  );
}

function answered(situation: Situation, outcome: Outcome): { status: number; version: string | undefined } {
  if (situation !== 'cold')
    return { status: 200, version: outcome === 'served' && situation === 'known' ? '3.0.0' : '2.0.0' };
  if (outcome === 'served') return { status: 200, version: '2.0.0' };
  if (outcome === 'passed over') return { status: 200, version: '1.0.0' };
  return { status: outcome === 'unavailable' ? 503 : outcome === 'absent' ? 404 : 502, version: undefined };
}

async function ask(service: TestService, device: string): Promise<Got> {
  const get = (path: string): string => `GET ${path}?device=${device} HTTP/1.1\r\nHost: x\r\n\r\n`;
  // As a device does: over a connection of its own, on which nothing was offered before.
  const client = await RawClient.open(service.port);
  try {
    const offer = await client.request(get('/version'));
    if (offer.status !== 200) return { status: offer.status, version: undefined, bytes: offer.body };
    const { status, body } = await client.request(get('/firmware'));
    return { status, version: offer.body.toString().split('\n')[0], bytes: body };
  } finally {
    client.close();
  }
}

function refuseHead(step: MatrixStep, seen: Step, response: ServerResponse): boolean {
  if (step !== 'manifest by tag' || seen !== 'manifest HEAD') return false;
  error(response, 405, 'NO HEAD');
  return true;
}

/** Pushes a version, signed where that is asked for, and returns what its requests name. */
function pushNewest(
  registry: FakeRegistry,
  device: string,
  version: string,
  step: MatrixStep,
  signed: boolean,
): Set<string> {
  const repository = registry.repository(device);
  const before = new Set([...repository.tags.keys(), ...repository.manifests.keys(), ...repository.blobs.keys()]);
  let digest = registry.push(device, version, firmwareOf(device, version), undefined, undefined, { version });
  if (step === 'index child') {
    const child = repository.manifests.get(digest);
    digest = registry.putManifest(
      device,
      version,
      { schemaVersion: 2, mediaType: INDEX, manifests: [{ mediaType: MANIFEST, digest, size: child?.bytes.length }] },
      INDEX,
    );
  }
  if (signed)
    if (step === '.sig manifest' || step === 'signature blob') signLegacy(registry, device, digest, key);
    else signBundle(registry, device, digest, key);
  const after = [...repository.tags.keys(), ...repository.manifests.keys(), ...repository.blobs.keys()];
  return new Set(after.filter((name) => !before.has(name)));
}

/** Which device a request is about; tokens say it in their scope. */
function deviceOf({ url = '' }: IncomingMessage): string {
  const scope = new URL(url, 'http://x').searchParams.get('scope');
  return scope?.split(':')[1] ?? /^\/(?:v2|storage)\/([^/]+)\//.exec(url)?.[1] ?? '';
}

/** Whether a request is about the newest version; a list of tags, or a token, is about all of them. */
function isAbout({ url = '' }: IncomingMessage, references: ReadonlySet<string>, step: MatrixStep): boolean {
  if (step === 'token' || step === 'tags' || step === 'next page') return true;
  const name = new URL(url, 'http://x').pathname.split('/').at(-1) ?? '';
  return references.has(name);
}
