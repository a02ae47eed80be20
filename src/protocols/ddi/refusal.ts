import type { ServerResponse } from 'node:http';
import { DeviceRefusal } from '../../delivery/index.js';

const EXCEPTIONS = 'org.eclipse.hawkbit.repository.exception';
const ERRORS = 'hawkbit.server.error';

/** The class and the code of hawkBit (SpServerError), by status. Clients print them, and decide by the status alone. */
const NAMES: ReadonlyMap<number, readonly [exceptionClass: string, errorCode: string]> = new Map([
  [400, [`${EXCEPTIONS}.MessageNotReadableException`, `${ERRORS}.rest.body.notReadable`]],
  [401, [`${EXCEPTIONS}.InsufficientPermissionException`, `${ERRORS}.insufficientpermission`]],
  [403, [`${EXCEPTIONS}.InsufficientPermissionException`, `${ERRORS}.insufficientpermission`]],
  [404, [`${EXCEPTIONS}.EntityNotFoundException`, `${ERRORS}.repo.entitiyNotFound`]],
  [410, [`${EXCEPTIONS}.CancelActionNotAllowedException`, `${ERRORS}.action.notActive`]],
  [413, [`${EXCEPTIONS}.FileSizeQuotaExceededException`, `${ERRORS}.quota.tooManyEntries`]],
  [429, [`${EXCEPTIONS}.AssignmentQuotaExceededException`, `${ERRORS}.quota.tooManyEntries`]],
]);
const OTHER = [`${EXCEPTIONS}.GenericSpServerException`, `${ERRORS}.sp.unknown`] as const;

export const noAction = (id: string | number): DeviceRefusal =>
  new DeviceRefusal(404, `No action ${String(id).slice(0, 20)} for this unit`);
export const actionOver = (): DeviceRefusal => new DeviceRefusal(410, 'This action is over');
export const noResource = (): DeviceRefusal => new DeviceRefusal(404, 'No such resource of the DDI API v1');

/** Sends a refusal as the JSON of hawkBit, which its clients log, and closes the connection. */
export function answerInJson({ status, body, headers }: DeviceRefusal, response: ServerResponse): void {
  const [exceptionClass, errorCode] = NAMES.get(status) ?? OTHER;
  const text = JSON.stringify({ exceptionClass, errorCode, message: body });
  response.writeHead(status, [
    'Content-Type',
    'application/json',
    'Content-Length',
    String(Buffer.byteLength(text)),
    'Connection',
    'close',
    ...headers,
  ]);
  response.end(text);
}
