import { Injectable, type OnApplicationShutdown } from '@nestjs/common';
import type { ServerResponse } from 'node:http';
import { Clock } from '../../clock.js';
import { Settings } from '../../config/index.js';
import {
  Delivery,
  DeviceRefusal,
  invalidUnit,
  Links,
  methodNotAllowed,
  noFirmware,
  parameter,
  unauthorized,
  type DeviceRequest,
} from '../../delivery/index.js';
import { isUnitName } from '../../identity.js';
import { contextOf } from '../../request-context.js';
import type { Access } from '../access.js';
import type { Ask } from '../ask.js';
import { DeviceProtocol, type Match } from '../device-protocol.js';
import { AcceptedKeys } from './accepted-keys.js';
import { loginIn, type Login } from './auth-request.js';
import { isManifestOf, parseDeployment, type Deployment } from './deployment.js';
import { Deployments, type MenderAsk } from './deployments.js';
import { LastProducts } from './last-products.js';
import { menderRoute } from './routes.js';
import { inventoryIn, productOf, providesIn, unknownDeployment } from './said.js';
import { SessionTokens } from './session-tokens.js';

const METHODS: Readonly<Record<string, readonly string[]>> = {
  login: ['POST'],
  next: ['POST', 'GET'],
  status: ['PUT'],
  log: ['PUT'],
  inventory: ['PUT', 'PATCH'],
  artifact: ['GET', 'HEAD'],
};

type Said = Omit<MenderAsk, 'unit' | 'key'>;

/**
 * Mender's device API: a device logs in with a signature of its key, asks for its next deployment, downloads the artifact
 * by a link, and reports. The product is the device type in lower case, the unit is the identity data.
 *
 * Sources: mender 3.4.0 and dc6ff6e, mender-mcu 55fa6a1, mender-server f954ef5 (devices API v1 and v2).
 */
@Injectable()
export class MenderProtocol extends DeviceProtocol implements OnApplicationShutdown {
  private readonly tokens: SessionTokens;
  private readonly keys: AcceptedKeys;
  private readonly products = new LastProducts();

  constructor(
    private readonly delivery: Delivery,
    private readonly deployments: Deployments,
    links: Links,
    clock: Clock,
    { menderAccept, production }: Settings,
  ) {
    super();
    this.tokens = new SessionTokens(links.secrets, () => clock.nowMs());
    this.keys = new AcceptedKeys(menderAccept, () => !production && !links.isRestricted);
  }

  override match(_method: string, path: string): Match | undefined {
    return menderRoute(path);
  }

  override async login(request: DeviceRequest, response: ServerResponse): Promise<void> {
    demandMethod(request);
    const login = await loginIn(request);
    if (!this.keys.acceptsLogin(login)) throw notAccepted(login.unit, login.key);
    answer(response, 200, 'text/plain; charset=utf-8', this.tokens.make(login));
  }

  override identify(request: DeviceRequest): Ask {
    demandMethod(request);
    const { step, id = '' } = request.params;
    const deployment = id === '' ? undefined : parseDeployment(id);
    if (id !== '' && !deployment) throw unknownDeployment();
    if (step === 'artifact' && deployment) return { product: deployment.product, unit: unitIn(request.query) };
    const login = this.tokens.read(request.raw.headers.authorization);
    if (!login) throw unauthorized();
    const ask: MenderAsk = { ...login, ...this.said(request, login, deployment) };
    const access = this.keys.accessOf(ask.key, ask);
    // A key that was taken from the list loses its token at once.
    if (access === 'unknown') throw notAccepted(ask.unit, ask.key);
    if (access === 'other') throw otherUnit(ask.unit, ask.key, ask.product);
    return ask;
  }

  /** A key that the operator has listed is a credential. One that was accepted on first use is none. */
  override accessOf(request: DeviceRequest): Access {
    return this.keys.isList && request.params.step !== 'artifact' ? 'allowed' : 'unknown';
  }

  override async handle(ask: Ask, request: DeviceRequest, response: ServerResponse): Promise<void> {
    const { step, id = '' } = request.params;
    if (step === 'artifact') {
      await this.send(ask, parseDeployment(id), request, response);
      return;
    }
    const mender = ask as MenderAsk;
    switch (step) {
      case 'next': {
        const next = await this.deployments.next(mender, this.keys, request);
        if (next) answer(response, 200, 'application/json', JSON.stringify(next));
        else response.writeHead(204).end();
        return;
      }
      case 'status':
        if (await this.deployments.report(mender, request)) response.writeHead(204).end();
        else throw new DeviceRefusal(409, 'This deployment was aborted');
        return;
      case 'log':
        await this.deployments.log(mender, request);
        response.writeHead(204).end();
        return;
      default:
        await this.deployments.inventory(mender, this.keys, request);
        response.writeHead(200, ['Content-Length', '0']).end();
    }
  }

  override refuse({ status, body, headers }: DeviceRefusal, response: ServerResponse): void {
    const { requestId } = contextOf(response.req.headers);
    // A log that nobody has read is dropped, so that the client can read the refusal.
    response.req.resume();
    answer(response, status, 'application/json', JSON.stringify({ error: body, request_id: requestId }), [
      'Connection',
      'close',
      ...headers,
    ]);
  }

  onApplicationShutdown(): void {
    this.keys.stop();
  }

  /** Returns what a request says besides its token. */
  private said(request: DeviceRequest, login: Login, deployment: Deployment | undefined): Said {
    if (deployment) return { product: deployment.product, deployment };
    if (request.params.step === 'next') {
      const { deviceType, artifactName } = providesIn(request);
      const product = productOf(deviceType);
      this.products.note(login, product);
      return { product, hardware: deviceType, running: artifactName };
    }
    const attributes = inventoryIn(request.body);
    const { device_type: hardware } = attributes;
    // mender-mcu adds values of its sensors by PATCH without it.
    const product = hardware === undefined ? this.products.of(login) : productOf(hardware);
    if (product === undefined) throw unknownType();
    return { product, hardware, attributes };
  }

  /** Sends exactly the release of the deployment: a tag that was moved since then has other bytes. */
  private async send(
    { product, unit }: Ask,
    deployment: Deployment | undefined,
    request: DeviceRequest,
    response: ServerResponse,
  ): Promise<void> {
    if (!deployment) throw noFirmware(product);
    // Clients report a refused download as a failed update.
    const isPromised = unit !== undefined && (await this.deployments.isOffered({ product, unit }, deployment));
    const version = parameter(request.query, 'version') ?? '';
    const release = await this.delivery.wanted(product, request, version, isPromised);
    if (!isManifestOf(deployment, release.manifestDigest)) throw noFirmware(product);
    if (isPromised) this.delivery.offer(release, request);
    this.delivery.send(release, request, response, undefined, undefined, (_bytes, isEnd) => {
      if (isEnd) this.deployments.downloaded({ product, unit }, release);
    });
  }
}

function unitIn(query: string): string | undefined {
  const unit = parameter(query, 'unit');
  if (unit !== undefined && !isUnitName(unit)) throw invalidUnit();
  return unit;
}

function demandMethod({ method, path, params: { step = '' } }: DeviceRequest): void {
  const allowed = step === 'next' && path.includes('/v2/') ? ['POST'] : (METHODS[step] ?? []);
  if (!allowed.includes(method)) throw methodNotAllowed(...allowed);
}

function answer(
  response: ServerResponse,
  status: number,
  type: string,
  body: string,
  headers: readonly string[] = [],
): void {
  response
    .writeHead(status, ['Content-Type', type, 'Content-Length', String(Buffer.byteLength(body)), ...headers])
    .end(body);
}

const notAccepted = (unit: string, key: string): DeviceRefusal =>
  new DeviceRefusal(
    401,
    'This key is not accepted',
    [],
    `the key of the Mender device ${unit} is not accepted. Add the line "DEVICE sha256:${key}" to the file of --mender-accept`,
  );
const otherUnit = (unit: string, key: string, product: string): DeviceRefusal =>
  new DeviceRefusal(
    403,
    'This key is accepted for another device',
    [],
    `the key sha256:${key} of the Mender device ${unit} is not accepted for ${product}`,
  );
/** The device asks for a deployment every few minutes, and sends its inventory again. */
const unknownType = (): DeviceRefusal =>
  new DeviceRefusal(503, 'Unknown device type: send the attribute device_type, or ask for a deployment first', [
    'Retry-After',
    '60',
  ]);
