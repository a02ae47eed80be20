import type { InitializeHook, ResolveHook } from 'node:module';

/** URLs by the specifier that they stand for. */
export type SharedModules = Readonly<Record<string, string>>;

let shared: SharedModules = {};

/** Receives the modules that plug-ins share with the server. */
export const initialize: InitializeHook<SharedModules> = (modules) => {
  shared = modules;
};

/** Wherever a plug-in is installed, it gets the modules of the running server: two copies of a class are two classes. */
export const resolve: ResolveHook = (specifier, context, nextResolve) => {
  const url = shared[specifier];
  return url === undefined ? nextResolve(specifier, context) : { url, shortCircuit: true };
};
