/** The public interface, beside the command that runs: plug-ins get this copy of it (`plugin-hooks.ts`). */
export * from '../index.js';
