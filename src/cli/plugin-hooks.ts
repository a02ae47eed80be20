import type { InitializeHook, ResolveHook } from 'node:module';

let door = '';

/** Told where this very package is. */
export const initialize: InitializeHook<string> = (url) => {
  door = url;
};

/** `otaflux` is the one that runs, wherever a plug-in lies: two copies would not know each other's classes. */
export const resolve: ResolveHook = (specifier, context, nextResolve) =>
  specifier === 'otaflux' ? { url: door, shortCircuit: true } : nextResolve(specifier, context);
