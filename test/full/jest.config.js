import base from '../../jest.config.js';

/** All tests, as CI runs them: `npm run test:all`. */
export default { ...base, rootDir: '../..', testPathIgnorePatterns: ['/node_modules/'] };
