import { build } from '../../scripts/build.mjs';

/** Builds when something has changed: the tests of the command line run what users run. */
export default function globalSetup() {
  build({ ifChanged: true });
}
