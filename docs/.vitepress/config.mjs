import { defineConfig } from 'vitepress';

const page = (text, link) => ({ text, link: `/${link}` });

/** `npm run docs:build`: the pages of docs/ as a site, searchable; a dead link ends the build. */
export default defineConfig({
  title: 'OtaFlux',
  description: 'Firmware for IoT devices over HTTP, straight from a container registry',
  cleanUrls: true,
  srcExclude: ['README.md'],
  // What lies outside of docs/ is on the repository's page.
  ignoreDeadLinks: [
    // Addresses of the reader's own machine.
    /^https?:\/\/(?:localhost|127\.0\.0\.1)\b/,
    /^\.\.\//,
    /^\.\/\.\.\//,
    /\/\.\.\/\.\.\//,
    (link) => /(?:README|CONTRIBUTING|CHANGELOG|SECURITY|examples|helm|config|etc)\b/.test(link),
  ],
  themeConfig: {
    search: { provider: 'local' },
    socialLinks: [{ icon: 'github', link: 'https://github.com/otaflux/otaflux' }],
    sidebar: [
      {
        text: 'Start',
        items: [
          page('Installation', 'install'),
          page('Tutorial', 'tutorial'),
          page('Tutorial: Kubernetes', 'tutorial-kubernetes'),
        ],
      },
      {
        text: 'Use',
        items: [
          page('Devices', 'devices'),
          page('Arduino libraries', 'protocols/arduino'),
          page('ESPHome and ESP Web Tools', 'protocols/esphome'),
          page('SWUpdate (general)', 'protocols/swupdate'),
          page('RAUC', 'protocols/rauc'),
          page('Mender', 'protocols/mender'),
          page('hawkBit clients', 'protocols/hawkbit'),
          page('Which version does my device get?', 'which-version'),
          page('Rollouts', 'rollouts'),
          page('Releases with several files', 'files'),
          page('Registries', 'registries'),
          page('Signing', 'signing'),
          page('Webhooks', 'webhooks'),
          page('Notifications', 'notifications'),
          page('Several replicas', 'replicas'),
          page('Events from brokers', 'events'),
        ],
      },
      {
        text: 'Operate',
        items: [
          page('Kubernetes', 'kubernetes'),
          page('TLS, device identity, limits', 'access'),
          page('Security', 'security'),
          page('Operations', 'operations'),
          page('Observability', 'observability'),
          page('Troubleshooting', 'troubleshooting'),
          page('Migrating from the Rust server', 'migrating'),
          page('Migrating from hawkBit', 'migrating-from-hawkbit'),
          page('Migrating from Nebraska', 'migrating-from-nebraska'),
        ],
      },
      { text: 'Reference', items: [page('Configuration', 'configuration'), page('Command line', 'cli')] },
      { text: 'Develop', items: [page('Extending', 'extending'), page('Architecture', 'architecture')] },
    ],
  },
});
