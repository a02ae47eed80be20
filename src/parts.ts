import { Inject, type InjectionToken, type Provider, type Type } from '@nestjs/common';

/** Your own implementation of a port: a class, which Nest instantiates, or an object. */
export type Part<T> = Type<T> | T;

/** The providers and tokens by which a module injects `parts`. */
export interface Parts {
  readonly providers: Provider[];
  readonly tokens: InjectionToken[];
}

/** Returns providers for implementations of one port, and the tokens by which to inject them, in the same order. */
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
 * Declares which providers Nest passes to the constructor of `target`, for code without decorators:
 * `injects(MyProtocol, ReleaseService)`. Returns `target`.
 *
 * @publicApi
 */
export function injects<T extends Type<object>>(target: T, ...tokens: InjectionToken[]): T {
  tokens.forEach((token, index) => {
    Inject(token)(target, undefined, index);
  });
  return target;
}
