import type { Match } from '../device-protocol.js';

const ROOT = '/api/devices/';
const NEXT = 'deployments/device/deployments/next';
const DEPLOYMENT = /^\/api\/devices\/v1\/deployments\/device\/deployments\/([^/]{1,400})\/(status|log|artifact)$/;

const FIXED: ReadonlyMap<string, Match> = new Map([
  route(`${ROOT}v1/authentication/auth_requests`, 'login', { isLogin: true }),
  route(`${ROOT}v1/${NEXT}`, 'next'),
  route(`${ROOT}v2/${NEXT}`, 'next'),
  route(`${ROOT}v1/inventory/device/attributes`, 'inventory', { isReport: true }),
]);

/** Returns the match of a request to Mender's device API. `params.step` says which one; `params.id` is a deployment. */
export function menderRoute(path: string): Match | undefined {
  if (!path.startsWith(ROOT)) return undefined;
  const fixed = FIXED.get(path);
  if (fixed) return fixed;
  const [, id, step] = DEPLOYMENT.exec(path) ?? [];
  if (id === undefined || step === undefined) return undefined;
  return {
    route: `${ROOT}v1/deployments/device/deployments/:id/${step}`,
    params: { step, id },
    // A log may be longer than other bodies, and is read by the protocol.
    takesBody: step === 'status',
    isReport: step !== 'artifact',
  };
}

function route(path: string, step: string, more: Partial<Match> = {}): [string, Match] {
  return [path, { route: path, params: { step }, takesBody: true, ...more }];
}
