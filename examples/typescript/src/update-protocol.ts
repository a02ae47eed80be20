import type { ServerResponse } from 'node:http';
import {
  DeviceProtocol,
  DeviceRefusal,
  isRepositoryName,
  type Ask,
  type Delivery,
  type DeviceRequest,
  type Match,
} from 'otaflux';

const PATH = /^\/update\/(?<device>.+)\/(?<running>[^/]+)$/;

/**
 * Updates a device in one request: `GET /update/DEVICE/RUNNING`, such as `/update/line-1/sensor/1.3.0`. The answer is 204 when
 * the device runs the current release, else 200 with the firmware and its version in `X-Firmware-Version`.
 */
export class UpdateProtocol extends DeviceProtocol {
  constructor(private readonly delivery: Delivery) {
    super();
  }

  /** Called for every request, so it only compares. `route` labels the metrics and must not contain what the client sent. */
  override match(method: string, path: string): Match | undefined {
    const groups = method === 'GET' ? PATH.exec(path)?.groups : undefined;
    return groups && { route: '/update/:device/:running', params: groups };
  }

  /** Limits, access control and logs use this product. */
  override identify({ params: { device = '', running } }: DeviceRequest): Ask {
    if (!isRepositoryName(device)) throw new DeviceRefusal(400, 'Invalid device id');
    return { product: device, running };
  }

  /** What `delivery` throws (no such device, registry down, too many downloads) is answered as for every other client. */
  override async handle({ product, running }: Ask, request: DeviceRequest, response: ServerResponse): Promise<void> {
    const release = await this.delivery.current(product, request);
    if (release.version === running) {
      response.writeHead(204).end();
      return;
    }
    this.delivery.offer(release, request);
    this.delivery.send(release, request, response, ['X-Firmware-Version', release.version]);
  }
}
