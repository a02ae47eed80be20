import { availableParallelism } from 'node:os';
import base from '../../jest.config.js';

/** All tests with all their cases, as CI runs them: `npm run test:all`. */
export default {
  ...base,
  rootDir: '../..',
  testPathIgnorePatterns: ['/node_modules/'],
  globals: { EVERYTHING: true },
  // Tests wait more than they compute, but each file may start several servers.
  maxWorkers: Math.max(3, availableParallelism() - 1),
};
