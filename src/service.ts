import type { Abstract, INestApplication, LoggerService, NestApplicationOptions, Type } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import type { IncomingMessage } from 'node:http';
import type { AddressInfo, Server } from 'node:net';
import { AppModule, type AppModuleOptions } from './app.module.js';
import type { ListenAddress, Settings } from './config/index.js';
import { DeviceHttpAdapter, DeviceRouter, TlsFiles } from './device/index.js';
import { codeOf, codesOf, ConfigError, reasonOf } from './errors.js';
import { Lifecycle } from './health/index.js';
import { demandProduction } from './production.js';
import { GraceTime } from './settings/index.js';
import { enableTracing } from './tracing.js';
import { HttpMeter, LimitMeter, ManagementServer } from './metrics/index.js';

/** Options of Service. */
export interface ServiceOptions extends AppModuleOptions {
  settings: Settings;
  logger: LoggerService | false;
}

/** A running OtaFlux with both ports open. */
export class Service {
  private constructor(
    readonly app: INestApplication,
    private readonly adapter: DeviceHttpAdapter,
    private readonly management: ManagementServer,
    /** Undefined for plain HTTP. */
    readonly tls: TlsFiles | undefined,
    readonly address: AddressInfo,
    readonly managementAddress: AddressInfo,
  ) {}

  /**
   * Starts the service, without waiting for the registry. Rejects with ConfigError if it cannot listen on an address,
   * or if the settings do not meet the requirements of PRODUCTION.
   */
  static async start({ settings, logger, ...options }: ServiceOptions): Promise<Service> {
    demandProduction(settings, { hasOwnVerifier: options.verifier !== undefined, hasOwnPorts: true });
    await enableTracing(process.env);
    const tls = TlsFiles.from(settings, (renewed) => {
      adapter.renewTls(renewed);
    });
    const adapter: DeviceHttpAdapter = new DeviceHttpAdapter({
      graceMs: () => app.get(GraceTime, { strict: false }).leftMs,
      headersTimeoutMs: settings.headersTimeout,
      maxConnections: settings.maxConnections,
      tls,
    });
    const nestOptions: NestApplicationOptions = {
      logger,
      abortOnError: false,
      // Webhooks are signed over their raw bytes, and no other request has a body.
      bodyParser: false,
    };
    const app: INestApplication = await NestFactory.create(AppModule.forRoot(options), adapter, nestOptions);
    await app.init();
    adapter.serveDevices(app.get(DeviceRouter, { strict: false }).handle);
    const limits = app.get(LimitMeter, { strict: false });
    limits.observeListener(
      () => adapter.connectionCount,
      () => tls?.notAfterMs,
    );
    adapter.observeHandshakes(() => {
      limits.handshakeFailed();
    });
    const meter = app.get(HttpMeter, { strict: false });
    adapter.observeControlPlane((request, response, durationMs) => {
      meter.route(routeOf(request)).record(request.method ?? '', response.statusCode, durationMs);
    });
    const management = app.get(ManagementServer, { strict: false });
    try {
      const managementAddress = await listening('--metrics-listen-addr', settings.metricsListenAddr, () =>
        management.listen(settings.metricsListenAddr, adapter.controlPlane),
      );
      const { host, port } = settings.listenAddr;
      const server = (await listening('--listen-addr', settings.listenAddr, () => app.listen(port, host)).catch(
        (error: unknown) => {
          throw port === managementAddress.port && codesOf(error).includes('EADDRINUSE') ? samePort(port) : error;
        },
      )) as Server;
      return new Service(app, adapter, management, tls, server.address() as AddressInfo, managementAddress);
    } catch (error) {
      tls?.stop();
      await management.close();
      await app.close();
      throw error;
    }
  }

  /** Returns a provider of the service by its injection token, such as `ReleaseService` or `Fleet`. */
  get<T>(token: Type<T> | Abstract<T> | string | symbol): T {
    return this.app.get<T>(token, { strict: false });
  }

  /**
   * Stops the service: it is not ready any more, and accepts no connections. Resolves when the downloads in progress
   * have ended, or after the grace time.
   */
  async stop(): Promise<void> {
    this.tls?.stop();
    this.app.get(Lifecycle, { strict: false }).end();
    this.app.get(GraceTime, { strict: false }).begin();
    await this.adapter.close();
    await this.management.close();
    await this.app.close();
  }
}

/** Returns the route that Express matched, which is a name in the code. All unknown paths are `other`. */
function routeOf(request: IncomingMessage & { route?: { path?: unknown } }): string {
  return typeof request.route?.path === 'string' ? request.route.path : 'other';
}

async function listening<T>(option: string, { host, port }: ListenAddress, listen: () => Promise<T>): Promise<T> {
  try {
    return await listen();
  } catch (error) {
    const address = `${host.includes(':') ? `[${host}]` : host}:${port}`;
    throw new ConfigError(`${option}: cannot listen on ${address}: ${reasonOf(error)}${adviceFor(error)}`, {
      cause: error,
    });
  }
}

function samePort(port: number): ConfigError {
  return new ConfigError(
    `--listen-addr and --metrics-listen-addr have the same port, ${port}. Choose another port for one of them`,
  );
}

function adviceFor(error: unknown): string {
  switch (codeOf(error)) {
    case 'EADDRINUSE':
      return '. Stop the program that uses it, or choose another port';
    case 'EACCES':
      return '. Ports below 1024 are for privileged users: choose a higher one';
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
    case 'EADDRNOTAVAIL':
      return '. Use 0.0.0.0 for all addresses of this machine, or one that it has';
    default:
      return '';
  }
}
