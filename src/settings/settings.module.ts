import { Module, type DynamicModule, type InjectionToken, type ModuleMetadata } from '@nestjs/common';
import { ConfigModule, ConfigService } from '@nestjs/config';
import { parseSettings, Settings, type GivenValues, type Variable } from '../config/index.js';
import { GraceTime } from './grace-time.js';

const KEY = 'otaflux';

/** Option values that are found when the application starts, as by a ConfigService of its own. */
export interface AsyncGiven extends Pick<ModuleMetadata, 'imports'> {
  inject?: InjectionToken[];
  /** Resolves to values by variable, such as `{ REGISTRY_URL: 'https://…' }`; those that are undefined are not given. */
  useFactory: (...dependencies: never[]) => Promise<PlainValues> | PlainValues;
}

export type PlainValues = Partial<Record<Variable, unknown>>;

/** Provides Settings to every module. */
@Module({})
export class SettingsModule {
  /** Settings from what `useFactory` finds; the start rejects with ConfigError. */
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
      providers: [settings, GraceTime],
      exports: [Settings, GraceTime],
    };
  }

  /** Settings from `given`, validated by `@nestjs/config`; rejects with ConfigError. */
  static forRoot(given: GivenValues): DynamicModule {
    return {
      module: SettingsModule,
      global: true,
      imports: [
        ConfigModule.forRoot({
          ignoreEnvFile: true,
          ignoreEnvVars: true,
          skipProcessEnv: true,
          // Under one key, because ConfigModule copies plain values into process.env, where secrets have no place.
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
      ],
      exports: [Settings, GraceTime],
    };
  }
}

/** Values as `gather` finds them, of values by variable. */
export function givenBy(values: PlainValues): GivenValues {
  const given = Object.entries(values).filter(([, value]) => value !== undefined);
  return Object.fromEntries(given.map(([variable, value]) => [variable, { value, where: variable }]));
}
