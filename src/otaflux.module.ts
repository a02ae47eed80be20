import {
  Inject,
  Module,
  type DynamicModule,
  type MiddlewareConsumer,
  type NestMiddleware,
  type NestModule,
} from '@nestjs/common';
import { ModuleRef } from '@nestjs/core';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { AppModule, type AppModuleOptions, type OwnParts } from './app.module.js';
import { Settings } from './config/index.js';
import { DeviceRouter } from './device/index.js';
import { demandProduction } from './production.js';
import { givenBy, type AsyncGiven, type PlainValues } from './settings/index.js';

/** Options of OtaFluxModule. */
export interface OtaFluxOptions extends OwnParts {
  /** Values of options by their variable, such as `{ REGISTRY_URL: 'https://registry.example.com' }`. */
  options: PlainValues;
}

/** Options of OtaFluxModule whose values a factory returns. */
export interface OtaFluxAsyncOptions extends OwnParts, AsyncGiven {}

/** Passes device requests to the device plane, and all others to the application. */
class DeviceMiddleware implements NestMiddleware {
  private readonly router: DeviceRouter;

  constructor(@Inject(ModuleRef) modules: ModuleRef) {
    this.router = modules.get(DeviceRouter, { strict: false });
  }

  use(request: IncomingMessage & { originalUrl?: string }, response: ServerResponse, next: () => void): void {
    const { url = '' } = request;
    // Express removes the path at which a middleware is mounted.
    request.url = request.originalUrl ?? url;
    if (this.router.handle(request, response)) return;
    request.url = url;
    next();
  }
}

/**
 * OtaFlux as a module of your own Nest application (Express). It answers devices, webhooks and health checks on the
 * port of the application. Create the application with `bodyParser: false`, or exclude `/webhooks` from your body
 * parser, because the signature of a webhook covers its raw bytes. The module exports the same providers as
 * `AppModule`. To get the management port, TLS and the graceful shutdown as well, start a `Service` instead.
 *
 * @publicApi
 */
@Module({})
export class OtaFluxModule implements NestModule {
  /**
   * Returns the module for `options`. The application does not start, and gets a ConfigError, if an option is wrong.
   */
  static forRoot({ options, ...parts }: OtaFluxOptions): DynamicModule {
    return OtaFluxModule.with({ ...parts, given: givenBy(options) });
  }

  /** Returns the module for options that a factory returns. */
  static forRootAsync({ imports, inject, useFactory, ...parts }: OtaFluxAsyncOptions): DynamicModule {
    const given: AsyncGiven = { useFactory, ...(imports && { imports }), ...(inject && { inject }) };
    return OtaFluxModule.with({ ...parts, given });
  }

  private static with(options: AppModuleOptions): DynamicModule {
    const service = AppModule.forRoot(options);
    const production = {
      provide: Symbol('production'),
      useFactory: (settings: Settings) => {
        demandProduction(settings, { hasOwnVerifier: options.verifier !== undefined, hasOwnPorts: false });
      },
      inject: [Settings],
    };
    return { module: OtaFluxModule, imports: [service], providers: [production], exports: [service] };
  }

  configure(consumer: MiddlewareConsumer): void {
    consumer.apply(DeviceMiddleware).forRoutes('{*path}');
  }
}
