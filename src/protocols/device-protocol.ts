import type { IncomingMessage, ServerResponse } from 'node:http';
import { deviceIn, type DeviceRefusal, type DeviceRequest } from '../delivery/index.js';
import type { Access } from './access.js';
import type { Ask } from './ask.js';

/** The result of `match`. */
export interface Match {
  /**
   * Name of the route, such as `/esphome/:product/manifest.json`. It is the label of metrics, so it must not contain
   * text of the client.
   */
  readonly route: string;
  /** The parameters in the path, by name, as they were sent. */
  readonly params?: Readonly<Record<string, string>>;
  /** Whether the request has a body, which is read before `identify`. Default: no. */
  readonly takesBody?: boolean;
  /**
   * Whether the request reports something that must not be lost. Then it counts against a limit of its own, and not
   * against that of the product.
   */
  readonly isReport?: boolean;
  /** Whether the request is about no product, such as a login. Then `login` answers it, and nobody is authenticated. */
  readonly isLogin?: boolean;
}

/**
 * A client protocol on the device plane. The first protocol that matches a request answers it. Other requests go to the
 * control plane. `match` is called for every request, so it must be fast.
 *
 * @publicApi
 */
export abstract class DeviceProtocol {
  /**
   * Returns the route of a request that this protocol answers, or undefined. Protocols that share a path tell their
   * clients by the headers of `raw`.
   */
  abstract match(method: string, path: string, raw: IncomingMessage): Match | undefined;
  /**
   * Returns what the request asks for. Called once for each request, before limits, authenticators and `handle`.
   * Default: the product in `?device=`. Throws a DeviceRefusal if the request names no product, or is wrong otherwise.
   */
  identify({ query }: DeviceRequest): Ask {
    return { product: deviceIn(query) };
  }
  /**
   * Answers a request, and sends firmware through `Delivery`. An error that it throws, or with which its promise
   * rejects, is answered with the status of the error. So errors of `Delivery` need no `catch` here.
   */
  abstract handle(ask: Ask, request: DeviceRequest, response: ServerResponse): void | Promise<void>;
  /** Answers a request whose match has `isLogin`. Only the limit of its address applies. */
  login?(request: DeviceRequest, response: ServerResponse): void | Promise<void>;
  /**
   * Returns whether a request has valid credentials of this protocol, such as a token that `login` has given to its
   * client. Otherwise the authenticators decide. Default: `unknown`.
   */
  accessOf?(request: DeviceRequest, ask: Ask): Access | Promise<Access>;
  /** Answers a refusal in the form that the clients of this protocol expect. Default: a line of text. */
  refuse?(refusal: DeviceRefusal, response: ServerResponse): void;
}
