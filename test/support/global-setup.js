/** Nothing to prepare yet; the CLI tests build once here. */
export default function globalSetup() {}
