import { availableParallelism } from 'node:os';

/**
 * `npm test` leaves out test/full, which is long or needs real servers, and test/docs, which runs every block of the
 * documentation (decision 46). A file that is named is run wherever it is; `npm run test:all` runs everything.
 */
const namesFiles = process.argv.slice(2).some((argument) => !argument.startsWith('-'));

/** Tests wait more than they compute: for time-outs, retries and programs that start. */
const maxWorkers = Math.min(Math.max(4, availableParallelism()), 8);

/** Jest runs the TypeScript sources as ES modules; swc only strips the types (decision 2). */
export default {
  testEnvironment: 'node',
  roots: ['<rootDir>/src', '<rootDir>/test'],
  testRegex: '\\.(spec|e2e-spec)\\.ts$',
  testPathIgnorePatterns: ['/node_modules/', ...(namesFiles ? [] : ['<rootDir>/test/full/', '<rootDir>/test/docs/'])],
  extensionsToTreatAsEsm: ['.ts'],
  moduleNameMapper: { '^(\\.{1,2}/.*)\\.js$': '$1' },
  transform: {
    '^.+\\.ts$': [
      '@swc/jest',
      {
        jsc: {
          parser: { syntax: 'typescript', decorators: true },
          transform: { legacyDecorator: true, decoratorMetadata: true },
          target: 'es2023',
        },
        module: { type: 'es6' },
      },
    ],
  },
  setupFilesAfterEnv: ['<rootDir>/test/support/setup.ts'],
  globalSetup: '<rootDir>/test/support/global-setup.js',
  // Only guards against hanging: no test may depend on how fast the machine is.
  maxWorkers,
  testTimeout: 600_000,
};
