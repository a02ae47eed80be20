import { Inject, type InjectionToken, type Provider, type Type } from '@nestjs/common';

/** Something of a team's own behind a port: a class that Nest makes, or an object. */
export type Part<T> = Type<T> | T;

/** What a module needs to have `parts` injected. */
export interface Parts {
  readonly providers: Provider[];
  readonly tokens: InjectionToken[];
}

/** Providers for parts of one port, and the tokens to inject them by, in their order. */
export function partsOf(parts: readonly Part<object>[]): Parts {
  const providers = parts.map((part): Provider => {
    if (isClass(part)) return part;
    return { provide: Symbol('part'), useValue: part };
  });
  return {
    providers,
    tokens: providers.map((provider) => (typeof provider === 'function' ? provider : provider.provide)),
  };
}

function isClass(part: Part<object>): part is Type<object> {
  return typeof part === 'function';
}

/**
 * Says what Nest hands to the constructor of `target`, for code without decorators: `injects(MyProtocol, ReleaseService)`.
 *
 * @publicApi
 */
export function injects<T extends Type<object>>(target: T, ...tokens: InjectionToken[]): T {
  tokens.forEach((token, index) => {
    Inject(token)(target, undefined, index);
  });
  return target;
}
