import type { Match } from '../device-protocol.js';

/** What a path of DDI is about. */
export type Resource =
  | 'poll'
  | 'configData'
  | 'deployment'
  | 'deploymentFeedback'
  | 'cancel'
  | 'cancelFeedback'
  | 'installed'
  | 'installedAction'
  | 'confirmations'
  | 'confirmation'
  | 'confirmationFeedback'
  | 'autoConfirm'
  | 'artifacts'
  | 'artifact'
  | 'other';

/** The part of a path between tenant and controller id. */
export const CONTROLLER = '/controller/v1/';
const PREFIX = `/:tenant${CONTROLLER}:unit`;

interface Route {
  readonly resource: Resource;
  /** Parts of the path behind the controller id. A part that begins with `:` is a parameter. */
  readonly parts: readonly string[];
  readonly methods: readonly string[];
  readonly match: Match;
}

const GET = ['GET', 'HEAD'];

const ROUTES: readonly Route[] = [
  route('poll', '', GET),
  route('configData', 'configData', ['PUT']),
  route('deployment', 'deploymentBase/:action', GET),
  route('deploymentFeedback', 'deploymentBase/:action/feedback', ['POST']),
  route('cancel', 'cancelAction/:action', GET),
  route('cancelFeedback', 'cancelAction/:action/feedback', ['POST']),
  route('installed', 'installedBase', ['PUT']),
  route('installedAction', 'installedBase/:action', GET),
  route('confirmations', 'confirmationBase', GET),
  route('confirmation', 'confirmationBase/:action', GET),
  route('confirmationFeedback', 'confirmationBase/:action/feedback', ['POST']),
  route('autoConfirm', 'activateAutoConfirm', ['POST']),
  route('autoConfirm', 'deactivateAutoConfirm', ['POST']),
  route('artifacts', 'softwaremodules/:action/artifacts', GET),
  route('artifact', 'softwaremodules/:action/artifacts/:file', GET),
];
const OTHER = route('other', ':other', GET);

function route(resource: Resource, tail: string, methods: readonly string[]): Route {
  const takesBody = methods !== GET;
  return {
    resource,
    parts: tail === '' ? [] : tail.split('/'),
    methods,
    match: { route: tail === '' ? PREFIX : `${PREFIX}/${tail}`, takesBody, isReport: takesBody },
  };
}

/**
 * Returns the match of a path of DDI, or undefined for another path: `/TENANT/controller/v1/UNIT`, and what is below it.
 * A tenant may contain slashes, encoded or not.
 */
export function routeOf(method: string, path: string): Match | undefined {
  const end = path.indexOf(CONTROLLER, 1);
  if (end === -1) return undefined;
  const [unit = '', ...parts] = path.slice(end + CONTROLLER.length).split('/');
  // Some clients end the path of a poll with a slash.
  if (parts.at(-1) === '') parts.pop();
  const found = ROUTES.find(({ parts: wanted }) => fits(parts, wanted)) ?? OTHER;
  const params: Record<string, string> = {
    resource: found.resource,
    methods: found.methods.join(' '),
    tenant: path.slice(1, end),
    unit,
  };
  for (const [index, name] of found.parts.entries())
    if (name.startsWith(':')) params[name.slice(1)] = parts[index] ?? '';
  const takesBody = found.match.takesBody === true && found.methods.includes(method);
  return { ...found.match, takesBody, isReport: takesBody, params };
}

function fits(parts: readonly string[], wanted: readonly string[]): boolean {
  return parts.length === wanted.length && wanted.every((name, index) => name.startsWith(':') || name === parts[index]);
}
