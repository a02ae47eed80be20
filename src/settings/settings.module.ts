import { Module, type DynamicModule, type InjectionToken, type ModuleMetadata } from '@nestjs/common';
import { ConfigModule, ConfigService } from '@nestjs/config';
import { parseSettings, Settings, type GivenValues, type Variable } from '../config/index.js';
import { Clock, SystemClock } from '../clock.js';
import { GraceTime } from './grace-time.js';

const KEY = 'otaflux';
const CLOCK = { provide: Clock, useClass: SystemClock };

/** Values of options that a factory returns when the application starts, for example from its own ConfigService. */
export interface AsyncGiven extends Pick<ModuleMetadata, 'imports'> {
  inject?: InjectionToken[];
  /** Returns values by variable, such as `{ REGISTRY_URL: 'https://…' }`. Undefined values count as unset. */
  useFactory: (...dependencies: never[]) => Promise<PlainValues> | PlainValues;
}

/** Values of options by variable. */
export type PlainValues = Partial<Record<Variable, unknown>>;

/** Provides Settings to every module. */
@Module({})
export class SettingsModule {
  /**
   * Provides settings from the result of `useFactory`. The application does not start, and gets a ConfigError, if an
   * option is wrong.
   */
  static forRootAsync({ imports = [], inject = [], useFactory }: AsyncGiven): DynamicModule {
    const settings = {
      provide: Settings,
      useFactory: async (...dependencies: never[]) => parseSettings(givenBy(await useFactory(...dependencies))),
      inject,
    };
    return {
      module: SettingsModule,
      global: true,
      imports,
      providers: [settings, GraceTime, CLOCK],
      exports: [Settings, GraceTime, Clock],
    };
  }

  /** Provides settings from `given`, validated by `@nestjs/config`. Rejects with ConfigError. */
  static forRoot(given: GivenValues): DynamicModule {
    return {
      module: SettingsModule,
      global: true,
      imports: [
        ConfigModule.forRoot({
          ignoreEnvFile: true,
          ignoreEnvVars: true,
          skipProcessEnv: true,
          // Under one key, because ConfigModule copies plain values into process.env, which must not contain secrets.
          validate: () => ({ [KEY]: parseSettings(given) }),
        }),
      ],
      providers: [
        {
          provide: Settings,
          useFactory: (config: ConfigService) => config.getOrThrow<Settings>(KEY),
          inject: [ConfigService],
        },
        GraceTime,
        CLOCK,
      ],
      exports: [Settings, GraceTime, Clock],
    };
  }
}

/** Returns values in the form of `gather`. */
export function givenBy(values: PlainValues): GivenValues {
  const given = Object.entries(values).filter(([, value]) => value !== undefined);
  return Object.fromEntries(given.map(([variable, value]) => [variable, { value, where: variable }]));
}
