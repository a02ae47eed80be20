import type { IncomingMessage, ServerResponse } from 'node:http';
import type { OtaErrorCode } from '../../src/errors.js';
import { error, INDEX, json, MANIFEST, type Step } from './fake-registry.js';

/** The size of all firmware of the matrix. */
export const BYTES = 8_000;

/** The requests of a refresh that the matrix goes through. */
export const PLAIN_STEPS = [
  'token',
  'tags',
  'next page',
  'manifest HEAD',
  'manifest by tag',
  'manifest by digest',
  'index child',
  'blob',
  'blob after redirect',
] as const satisfies readonly Step[];
export const SIGNATURE_STEPS = [
  'referrers',
  'fallback tag',
  'bundle manifest',
  '.sig manifest',
  'signature blob',
] as const satisfies readonly Step[];

export type MatrixStep = (typeof PLAIN_STEPS)[number] | (typeof SIGNATURE_STEPS)[number];

/** What a registry answers in place of what was asked for. */
export const ANSWERS = [
  401,
  403,
  404,
  405,
  406,
  429,
  500,
  501,
  503,
  'HTML',
  'empty',
  'wrong digest',
  'cut',
  'stalled',
  'reset',
] as const;
export type Answer = (typeof ANSWERS)[number];

/**
 * What a refresh comes to when one request for the newest version is answered so: that version is `served` all the same,
 * it is `passed over` because the registry says that it, or its signature, is not there, or the refresh fails.
 */
export type Outcome = 'served' | 'passed over' | OtaErrorCode;

type Row = readonly [
  Outcome,
  Outcome,
  Outcome,
  Outcome,
  Outcome,
  Outcome,
  Outcome,
  Outcome,
  Outcome,
  Outcome,
  Outcome,
  Outcome | undefined,
  Outcome,
  Outcome,
  Outcome,
];

const D = 'denied';
const P = 'protocol';
const U = 'unavailable';
const A = 'absent';
const S = 'served';
const O = 'passed over';

/** One row a step, one column an answer; undefined where an answer has no digest that could be wrong. */
// prettier-ignore
const TABLE: Record<MatrixStep, Row> = {
  //                    401 403 404 405 406 429 500 501 503 HTML empty digest cut stalled reset
  'token':              [D, D,  D,  P,  P,  U,  U,  U,  U,  P,   P,  undefined, U,  U,      U],
  'tags':               [D, D,  A,  P,  P,  U,  U,  U,  U,  P,   P,  undefined, U,  U,      U],
  'next page':          [D, D,  P,  P,  P,  U,  U,  U,  U,  P,   P,  undefined, U,  U,      U],
  // HEAD is refused where GET is fine (401 to 406, 501), and HTML or nothing has no digest in it: GET decides.
  'manifest HEAD':      [S, S,  S,  S,  S,  U,  U,  S,  U,  S,   S,    P,       U,  U,      U],
  'manifest by tag':    [D, D,  O,  P,  P,  U,  U,  U,  U,  P,   P,    P,       U,  U,      U],
  'manifest by digest': [D, D,  P,  P,  P,  U,  U,  U,  U,  P,   P,    P,       U,  U,      U],
  'index child':        [D, D,  P,  P,  P,  U,  U,  U,  U,  P,   P,    P,       U,  U,      U],
  'blob':               [D, D,  P,  P,  P,  U,  U,  U,  U,  P,   P,    P,       U,  U,      U],
  'blob after redirect':[D, D,  P,  P,  P,  U,  U,  U,  U,  P,   P,    P,       U,  U,      U],
  // No referrers API: the fallback tag has the same signature.
  'referrers':          [D, D,  S,  S,  S,  U,  U,  S,  U,  S,   S,  undefined, U,  U,      U],
  'fallback tag':       [D, D,  O,  P,  P,  U,  U,  U,  U,  P,   P,    P,       U,  U,      U],
  // A list may name what was deleted since, so a signature that is not there is none.
  'bundle manifest':    [D, D,  O,  P,  P,  U,  U,  U,  U,  P,   P,    P,       U,  U,      U],
  '.sig manifest':      [D, D,  O,  P,  P,  U,  U,  U,  U,  P,   P,    P,       U,  U,      U],
  'signature blob':     [D, D,  O,  P,  P,  U,  U,  U,  U,  P,   P,    P,       U,  U,      U],
};

/** What is expected, or undefined where there is no such case. */
export function expectedOutcome(step: MatrixStep, answer: Answer): Outcome | undefined {
  return TABLE[step][ANSWERS.indexOf(answer)];
}

/** Answers a request wrongly. */
export function answerWrongly(answer: Answer, request: IncomingMessage, response: ServerResponse): void {
  if (typeof answer === 'number') error(response, answer, 'FAULT');
  else if (answer === 'HTML') {
    const page = '<html><body>Please log in</body></html>';
    response.writeHead(200, { 'Content-Type': 'text/html', 'Content-Length': page.length });
    response.end(request.method === 'HEAD' ? undefined : page);
  } else if (answer === 'empty') response.writeHead(200, { 'Content-Length': 0 }).end();
  else if (answer === 'wrong digest') wrongDigest(request, response);
  else if (answer === 'cut') {
    const blob = request.url?.includes('/blobs/') ?? false;
    response.writeHead(200, { 'Content-Type': 'application/json', ...(!blob && { 'Content-Length': 65_536 }) });
    response.write('{"schemaVersion":2,', () => response.socket?.destroy());
  } else if (answer === 'reset') response.socket?.resetAndDestroy();
  // A stalled one is never answered; its client gives up.
}

/** What looks right, and is something else than what was asked for. */
function wrongDigest(request: IncomingMessage, response: ServerResponse): void {
  const url = request.url ?? '';
  const digest = `sha256:${'a'.repeat(64)}`;
  if (url.includes('/blobs/')) {
    response.writeHead(200, { 'Content-Type': 'application/octet-stream' });
    response.end(Buffer.alloc(BYTES, 'x'));
    return;
  }
  const isIndex = /sha256-[0-9a-f]{64}$/.test(url);
  const mediaType = isIndex ? INDEX : MANIFEST;
  const headers = { 'Content-Type': mediaType, 'Docker-Content-Digest': digest };
  if (request.method === 'HEAD') response.writeHead(200, { ...headers, 'Content-Length': 500 }).end();
  else json(response, 200, { schemaVersion: 2, mediaType, ...(isIndex ? { manifests: [] } : { layers: [] }) }, headers);
}
