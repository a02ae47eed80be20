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
        text: 'Use',
        items: [
          page('Configuration', 'configuration'),
          page('Registries', 'registries'),
          page('Devices', 'devices'),
          page('Webhooks', 'webhooks'),
          page('Notifications', 'notifications'),
          page('Signing', 'signing'),
        ],
      },
      {
        text: 'Operate',
        items: [
          page('A signed update under Kubernetes', 'tutorial'),
          page('Operations', 'operations'),
          page('Kubernetes', 'kubernetes'),
          page('TLS, identity, limits', 'access'),
          page('Observability', 'observability'),
          page('Security', 'security'),
          page('Troubleshooting', 'troubleshooting'),
          page('Migrating', 'migrating'),
        ],
      },
      { text: 'Change', items: [page('Extending', 'extending'), page('Architecture', 'architecture')] },
    ],
  },
});
