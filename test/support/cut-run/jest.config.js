import base from '../../../jest.config.js';

/** The run that `cut-run.e2e-spec.ts` cuts. */
export default {
  ...base,
  rootDir: '../../..',
  testRegex: '\\.cut-spec\\.ts$',
  testPathIgnorePatterns: ['/node_modules/'],
};
