import base from '../../jest.config.js';

/** What needs a cluster, which kubectl is set to: `npm run test:cluster`. */
export default { ...base, rootDir: '../..', testRegex: '\\.cluster-spec\\.ts$', testTimeout: 300_000 };
