import { expect, it } from '@jest/globals';
import { ClientAddress } from '../../src/delivery/client-address.js';
import { environment, find, manifests, notes, podSpec, render, validate, type Manifest } from '../support/chart.js';
import { describeWith } from '../support/real-server.js';

type Values = Record<string, unknown>;

/** What the chart makes of `values`, checked against the schemas of Kubernetes. */
function objects(values: Values): Manifest[] {
  const text = render(values);
  validate(text);
  return manifests(text);
}

const PUBLIC_KEY = '-----BEGIN PUBLIC KEY-----\nMFkw\n-----END PUBLIC KEY-----\n';
const TLS = { 'otaflux.tls.existingSecret': 'ota-tls' };
const PRIVATE = '10.0.0.0/8,100.64.0.0/10,172.16.0.0/12,192.168.0.0/16,fc00::/7';

describeWith(['helm', 'kubeconform'], 'a Redis that pods share', () => {
  it('is named by a Secret, and needs neither a StatefulSet nor a state folder', () => {
    const made = objects({
      replicaCount: 3,
      'otaflux.redis.existingSecret': 'ota-redis',
      'otaflux.redis.existingSecretKey': 'url',
    });
    expect(made.map(({ kind }) => kind)).not.toContain('StatefulSet');
    const [container] = podSpec(made).containers as { env: { name: string; valueFrom?: unknown }[] }[];
    expect(container?.env.find(({ name }) => name === 'REDIS_URL')?.valueFrom).toEqual({
      secretKeyRef: { name: 'ota-redis', key: 'url' },
    });
    expect(environment(made)).not.toHaveProperty('STATE_DIR');
  });

  it('is a secret if its URL is given, and is reached through the network policy', () => {
    const values = { 'otaflux.redis.url': 'rediss+sentinel://:pw@a.example:26380,b.example/main' };
    expect(environment(objects(values))).toMatchObject({ REDIS_URL: values['otaflux.redis.url'] });
    const policy = { 'networkPolicy.enabled': true, 'networkPolicy.egress.enabled': true };
    const egress = JSON.stringify(find(objects({ ...values, ...policy }), 'NetworkPolicy'));
    for (const port of [26380, 26379]) expect(egress).toContain(`"port":${port}`);
  });
});

describeWith(['helm', 'kubeconform'], 'what the chart refuses, it explains', () => {
  it.each<[Values, string]>([
    [{ 'otaflux.registry.url': '' }, 'otaflux.registry.url is empty'],
    [{ 'otaflux.tls.clientCertificates': true }, 'Set otaflux.tls.existingSecret'],
    [{ 'otaflux.registry.password': 'p' }, 'Set otaflux.registry.username'],
    [{ 'otaflux.mqtt.clientCert': 'PEM' }, 'Set otaflux.mqtt.clientKey'],
    [{ 'otaflux.mqtt.clientKey': 'PEM' }, 'Set otaflux.mqtt.clientCert'],
    [{ 'otaflux.signing.identity': 'a@example.com' }, 'Set otaflux.signing.issuer'],
    [{ 'otaflux.signing.issuerRegexp': 'example' }, 'Set otaflux.signing.identity'],
    [{ 'otaflux.metricsListenAddr': '127.0.0.1:9090' }, 'Set otaflux.metricsListenAddr: 0.0.0.0:9090'],
    [{ 'otaflux.listenAddr': '[::1]:8080' }, 'Set otaflux.listenAddr: 0.0.0.0:8080'],
    [{ 'otaflux.listenAddr': '0.0.0.0:9090' }, 'use the same port, 9090'],
    [{ 'otaflux.config.log-level': 'debug' }, 'Set otaflux.logLevel'],
    [{ 'otaflux.config.mqttTopic': 'a', 'otaflux.mqtt.topic': 'b' }, 'Set otaflux.mqtt.topic'],
    [{ 'otaflux.config': { 'refresh-interval': '1m', REFRESH_INTERVAL: '2m' } }, 'are the same option'],
    [{ 'otaflux.config.device-header': 'X-Device', 'ingress.enabled': true }, 'Set otaflux.trustProxy'],
    [
      { 'networkPolicy.enabled': true, 'networkPolicy.egress.enabled': true, 'otaflux.redis.existingSecret': 'r' },
      'Set networkPolicy.egress.brokerPorts',
    ],
    [{ 'httpRoute.enabled': true }, 'httpRoute.parentRefs is empty'],
    [{ 'service.loadBalancerSourceRanges': ['10.0.0.0/8'] }, 'Set service.type: LoadBalancer'],
    [{ 'service.externalTrafficPolicy': 'Local' }, 'Set service.type: LoadBalancer or NodePort'],
  ])('%j', (values, message) => {
    expect(() => render(values)).toThrow(message);
  });

  it('lists all that production lacks', () => {
    const refusal = (values: Values): string => {
      try {
        return render({ 'otaflux.production': true, ...values }) && '';
      } catch (error) {
        return (error as Error).message;
      }
    };
    for (const value of [
      'signing.existingSecret',
      'webhookSecret',
      'managementToken',
      'tls.existingSecret',
      'trustProxy',
    ])
      expect(refusal({})).toContain(`otaflux.${value}`);
    const whole = {
      'otaflux.signing.existingSecret': 'keys',
      'otaflux.webhookSecret': 'a-long-webhook-secret',
      'otaflux.managementToken': 'a-long-management-token',
      ...TLS,
    };
    expect(refusal(whole)).toBe('');
    expect(refusal({ ...whole, 'otaflux.tls.existingSecret': '', 'ingress.enabled': true })).toBe('');
    expect(refusal({ ...whole, 'otaflux.webhookSecret': '' })).not.toContain('managementToken');
    // What is in a Secret is left to the server.
    expect(refusal({ 'otaflux.existingSecret': 'mine', ...TLS, 'otaflux.cosignPubKey': PUBLIC_KEY })).toBe('');
    expect(environment(manifests(render({ 'otaflux.production': true, ...whole })))).toMatchObject({
      PRODUCTION: 'true',
      MANAGEMENT_TOKEN: 'a-long-management-token',
    });
  });
});

describeWith(['helm', 'kubeconform'], 'trusted proxies', () => {
  const trusted = (values: Values): string | undefined => environment(objects(values)).TRUST_PROXY;

  it('are those that an Ingress or a Gateway comes from', () => {
    expect(trusted({})).toBeUndefined();
    expect(trusted({ 'ingress.enabled': true })).toBe(PRIVATE);
    expect(trusted({ 'httpRoute.enabled': true, 'httpRoute.parentRefs': [{ name: 'g' }] })).toBe(PRIVATE);
    expect(trusted({ 'ingress.enabled': true, 'otaflux.trustProxy': ['10.1.0.0/16', 'fd00::/8'] })).toBe(
      '10.1.0.0/16,fd00::/8',
    );
    expect(trusted({ 'otaflux.trustProxy': ['10.1.0.0/16'] })).toBe('10.1.0.0/16');
    // From a node port, anybody has a private address.
    expect(trusted({ 'ingress.enabled': true, 'service.type': 'LoadBalancer' })).toBeUndefined();
    expect(trusted({ 'ingress.enabled': true, 'otaflux.config.trust-proxy': '10.2.0.0/16' })).toBeUndefined();
  });

  it('are the addresses and networks that the server takes', () => {
    const entries = [
      ...[
        '10.0.0.0/8',
        '0.0.0.0/0',
        '192.168.1.1',
        '::1',
        'fd00::/8',
        '::/0',
        '1:2:3:4:5:6:7:8',
        '1::8',
        '::ffff:10.0.0.1/104',
      ],
      ...[
        '10.0.0.0/33',
        'nginx',
        '10.0.0',
        '256.0.0.1',
        '010.0.0.1',
        'fd00::/129',
        '1:2',
        '1::2::3',
        '',
        '1:2:3:4:5:6:7:8:9',
      ],
    ];
    const takes = (use: () => unknown): boolean => {
      try {
        use();
        return true;
      } catch {
        return false;
      }
    };
    for (const entry of entries) {
      const server = takes(() => new ClientAddress([entry]));
      const chart = takes(() => render({ 'otaflux.trustProxy': [entry] }));
      expect({ entry, chart }).toEqual({ entry, chart: server });
    }
  });
});

describeWith(['helm', 'kubeconform'], 'what a cluster asks for', () => {
  const DIGEST = `sha256:${'a'.repeat(64)}`;

  it.each<[Values, string]>([
    [{}, 'ghcr.io/otaflux/otaflux:0.1.0'],
    [{ 'image.tag': '0.2.0' }, 'ghcr.io/otaflux/otaflux:0.2.0'],
    [{ 'image.digest': DIGEST }, `ghcr.io/otaflux/otaflux@${DIGEST}`],
    [{ 'image.digest': DIGEST, 'image.tag': '0.2.0' }, `ghcr.io/otaflux/otaflux:0.2.0@${DIGEST}`],
  ])('takes the image of %j', (values, image) => {
    const all = objects(values);
    expect(podSpec(all).containers[0]?.image).toBe(image);
    expect((find(all, 'Pod')?.spec as { containers?: unknown }).containers).toMatchObject([{ image }]);
  });

  it('hands what pods and their workload may have to Kubernetes', () => {
    const pod = {
      hostAliases: [{ ip: '10.0.0.1', hostnames: ['registry.local'] }],
      dnsPolicy: 'None',
      dnsConfig: { nameservers: ['10.0.0.53'] },
      priorityClassName: 'high',
    };
    for (const persistence of [false, true]) {
      const all = objects({
        ...pod,
        'persistence.enabled': persistence,
        deploymentAnnotations: { 'reloader.stakater.com/auto': 'true' },
        revisionHistoryLimit: 3,
        extraContainers: [{ name: 'side', image: 'busybox' }],
      });
      const workload = find(all, persistence ? 'StatefulSet' : 'Deployment');
      expect(workload?.metadata.annotations).toEqual({ 'reloader.stakater.com/auto': 'true' });
      expect(workload?.spec.revisionHistoryLimit).toBe(3);
      expect(podSpec(all)).toMatchObject(pod);
      expect(podSpec(all).containers.map(({ name }) => name)).toEqual(['otaflux', 'side']);
    }
  });

  it('sets up a load balancer', () => {
    expect(
      find(
        objects({
          'service.type': 'LoadBalancer',
          'service.loadBalancerClass': 'service.k8s.aws/nlb',
          'service.loadBalancerSourceRanges': ['203.0.113.0/24'],
          'service.externalTrafficPolicy': 'Local',
          'service.sessionAffinity': 'ClientIP',
          'service.nodePort': 30_080,
          'service.annotations': { a: 'b' },
        }),
        'Service',
      ),
    ).toMatchObject({
      metadata: { annotations: { a: 'b' } },
      spec: {
        type: 'LoadBalancer',
        loadBalancerClass: 'service.k8s.aws/nlb',
        loadBalancerSourceRanges: ['203.0.113.0/24'],
        externalTrafficPolicy: 'Local',
        sessionAffinity: 'ClientIP',
        ports: [{ name: 'http', nodePort: 30_080 }, { name: 'metrics' }],
      },
    });
  });

  it('keeps numbers as they are written', () => {
    const numbers = {
      'otaflux.cache.memory': 536_870_912,
      'otaflux.registry': { url: 'r', username: 'u', password: 12_345_678 },
    };
    expect(environment(objects(numbers))).toMatchObject({ CACHE_MEMORY: '536870912', REGISTRY_PASSWORD: '12345678' });
  });

  it('tests an installation by its registry, and keeps the test out of the Service', () => {
    const test = find(objects({}), 'Pod');
    expect(test?.spec).toMatchObject({
      containers: [{ args: ['health', '--registry', '--url', 'http://rel-otaflux:9090'] }],
    });
    expect(test?.metadata.labels).toMatchObject({ 'app.kubernetes.io/name': 'otaflux-test' });
    const onDevicePort = (values: Values): Manifest | undefined =>
      find(objects({ 'service.metricsPort': 0, ...values }), 'Pod');
    expect(onDevicePort({})?.spec).toMatchObject({
      containers: [{ args: ['health', '--registry', '--url', 'http://rel-otaflux:80'] }],
    });
    // Nobody here could check the certificate, which is for another name.
    expect(onDevicePort(TLS)).toBeUndefined();
  });
});

describeWith(['helm'], 'the notes', () => {
  it('say how to ask, and what is not secure', () => {
    const text = notes({});
    expect(text).toContain("curl 'http://localhost:8080/version?device=DEVICE'");
    expect(text).toContain('kubectl --namespace default exec service/rel-otaflux -- otaflux status');
    for (const value of ['signing', 'webhookSecret', 'managementToken', 'tls.existingSecret'])
      expect(text).toContain(`otaflux.${value}`);
  });

  it('say nothing of what is set', () => {
    const text = notes({
      'otaflux.cosignPubKey': PUBLIC_KEY,
      'otaflux.webhookSecret': 'a-long-webhook-secret',
      'otaflux.managementToken': 'a-long-management-token',
      ...TLS,
    });
    expect(text).not.toMatch(/not secure|Set otaflux/);
    expect(text).toContain("curl --insecure 'https://localhost:8080/version?device=DEVICE'");
  });

  it('count on a Secret for secrets only', () => {
    const text = notes({ 'otaflux.existingSecret': 'mine' });
    expect(text).toContain('otaflux.signing');
    expect(text).not.toMatch(/webhookSecret|managementToken/);
    const config = { 'cosign-match-reference': true };
    expect(notes({ 'otaflux.config': config })).toContain('otaflux.signing');
  });

  it('name the hosts, and who is believed', () => {
    const text = notes({
      'ingress.enabled': true,
      'ingress.hosts': [{ host: 'ota.example.com', paths: [{ path: '/' }] }],
      'ingress.tls': [{ hosts: ['ota.example.com'], secretName: 's' }],
    });
    expect(text).toContain("curl 'https://ota.example.com/version?device=DEVICE'");
    expect(text).toContain('otaflux.trustProxy');
    expect(text).not.toContain('tls.existingSecret');
  });
});
