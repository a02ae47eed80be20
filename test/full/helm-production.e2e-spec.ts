import { expect, it } from '@jest/globals';
import { environment, find, manifests, notes, podSpec, render, validate, type Manifest } from '../support/chart.js';
import { describeWith } from '../support/real-server.js';

type Values = Record<string, unknown>;

/** What the chart makes of `values`, checked against the schemas of Kubernetes. */
function objects(values: Values): Manifest[] {
  const text = render(values);
  validate(text);
  return manifests(text);
}

const MONITORING = [{ namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'monitoring' } } }];

describeWith(['helm', 'kubeconform'], 'the network policy of the chart', () => {
  const ingressOf = (values: Values): unknown[] =>
    find(objects({ 'networkPolicy.enabled': true, ...values }), 'NetworkPolicy')?.spec.ingress as unknown[];

  it('lets Prometheus and the test pod reach the management port', () => {
    expect(ingressOf({ 'networkPolicy.metricsFrom': MONITORING })[1]).toEqual({
      ports: [{ port: 'metrics', protocol: 'TCP' }],
      from: [
        ...MONITORING,
        {
          podSelector: {
            matchLabels: { 'app.kubernetes.io/name': 'otaflux-test', 'app.kubernetes.io/instance': 'rel' },
          },
        },
      ],
    });
  });

  it('says in the notes that Prometheus is shut out', () => {
    const monitored = { 'networkPolicy.enabled': true, 'metrics.prometheusRule.enabled': true };
    expect(notes(monitored)).toContain('networkPolicy.metricsFrom');
    expect(notes({ ...monitored, 'networkPolicy.metricsFrom': MONITORING })).not.toContain('metricsFrom');
  });

  it('refuses a ServiceMonitor whose Prometheus it shuts out', () => {
    const monitored = { 'networkPolicy.enabled': true, 'metrics.serviceMonitor.enabled': true };
    expect(() => render(monitored)).toThrow('Set networkPolicy.metricsFrom to its namespace');
    for (const metricsFrom of [MONITORING, [{ podSelector: {} }]])
      expect(() => objects({ ...monitored, 'networkPolicy.metricsFrom': metricsFrom })).not.toThrow();
  });

  const egressOf = (values: Values): unknown => {
    const policy = find(
      objects({ 'networkPolicy.enabled': true, 'networkPolicy.egress.enabled': true, ...values }),
      'NetworkPolicy',
    );
    expect(policy?.spec.policyTypes).toEqual(['Ingress', 'Egress']);
    return policy?.spec.egress;
  };
  const tcp = (...ports: number[]): unknown[] => ports.map((port) => ({ port, protocol: 'TCP' }));
  const DNS = { ports: [{ port: 53, protocol: 'UDP' }, ...tcp(53)] };

  it('leaves outgoing connections alone by default', () => {
    expect(find(objects({ 'networkPolicy.enabled': true }), 'NetworkPolicy')?.spec).toMatchObject({
      policyTypes: ['Ingress'],
    });
  });

  it.each([
    ['https://r.example.com', 443],
    ['https://r.example.com:8443/path', 8443],
    ['http://r.example.com', 80],
    ['r.example.com', 443],
    ['r.example.com:5000', 5000],
    ['http://[fd00::1]:5000', 5000],
    ['https://[fd00::1]', 443],
  ])('opens DNS and the port of %s', (url, port) => {
    expect(egressOf({ 'otaflux.registry.url': url })).toEqual([DNS, { ports: tcp(port) }]);
  });

  it('opens the ports of the brokers, and what else is asked for', () => {
    const cidr = (block: string): unknown[] => [{ ipBlock: { cidr: block } }];
    expect(
      egressOf({
        'otaflux.registry': { url: 'r.example.com', insecure: true },
        'otaflux.mqtt.url': 'mqtts://user:p:1@broker.example.com?client_id=x',
        'otaflux.notify': ['kafka://a:9092,b:9093?topic=x', 'redis://redis', 'https://hooks.example.com/x:1#name=y'],
        'networkPolicy.egress.dnsTo': cidr('10.0.0.10/32'),
        'networkPolicy.egress.registryTo': cidr('10.1.0.0/16'),
        'networkPolicy.egress.brokersTo': cidr('10.2.0.0/16'),
        'networkPolicy.egress.brokerPorts': [1883, 8883],
        'networkPolicy.egress.extraRules': [{ to: cidr('10.3.0.0/16') }],
      }),
    ).toEqual([
      { ...DNS, to: cidr('10.0.0.10/32') },
      { ports: tcp(80), to: cidr('10.1.0.0/16') },
      { ports: tcp(9092, 9093, 6379, 443, 8883, 1883), to: cidr('10.2.0.0/16') },
      { to: cidr('10.3.0.0/16') },
    ]);
  });

  it('opens Sigstore for keyless signatures', () => {
    expect(
      egressOf({
        'otaflux.signing.identity': 'a@example.com',
        'otaflux.signing.issuer': 'https://i.example.com',
        'otaflux.registry.url': 'http://r:5000',
      }),
    ).toEqual([DNS, { ports: tcp(5000) }, { ports: tcp(443) }]);
  });

  it('refuses to shut out a broker whose URL is in a Secret', () => {
    const hidden = {
      'networkPolicy.enabled': true,
      'networkPolicy.egress.enabled': true,
      'otaflux.mqtt.existingSecret': 's',
    };
    expect(() => render(hidden)).toThrow('Set networkPolicy.egress.brokerPorts');
  });
});

describeWith(['helm', 'kubeconform'], 'persistence', () => {
  const CLAIMS = { 'persistence.enabled': true };

  it('gives each pod of a StatefulSet a volume of its own for cache and state', () => {
    const all = objects({ ...CLAIMS, replicaCount: 3, 'persistence.storageClass': 'fast', 'persistence.size': '20Gi' });
    expect(find(all, 'Deployment')).toBeUndefined();
    expect(find(all, 'StatefulSet')?.spec).toMatchObject({
      replicas: 3,
      podManagementPolicy: 'Parallel',
      volumeClaimTemplates: [
        {
          metadata: { name: 'data' },
          spec: {
            accessModes: ['ReadWriteOnce'],
            storageClassName: 'fast',
            resources: { requests: { storage: '20Gi' } },
          },
        },
      ],
    });
    expect(environment(all)).toMatchObject({
      CACHE_DIR: '/data/cache',
      CACHE_DISK: '8GiB',
      STATE_DIR: '/data/state',
    });
    expect(podSpec(all).containers[0]?.volumeMounts).toContainEqual({ name: 'data', mountPath: '/data' });
  });

  it('can be upgraded: no label of the claims changes with the version', () => {
    const text = JSON.stringify(find(objects(CLAIMS), 'StatefulSet')?.spec.volumeClaimTemplates);
    expect(text).not.toMatch(/version|helm\.sh\/chart/);
  });

  it('uses an existing claim, in which each pod has a folder of its own', () => {
    const all = objects({
      ...CLAIMS,
      replicaCount: 2,
      'persistence.existingClaim': 'mine',
      'persistence.accessMode': 'ReadWriteMany',
    });
    expect(find(all, 'StatefulSet')?.spec).not.toHaveProperty('volumeClaimTemplates');
    expect(podSpec(all).volumes).toContainEqual({ name: 'data', persistentVolumeClaim: { claimName: 'mine' } });
    expect(environment(all)).toMatchObject({
      CACHE_DIR: '/data/$(POD_NAME)/cache',
      STATE_DIR: '/data/$(POD_NAME)/state',
    });
    // A variable is replaced only where it stands above.
    expect(podSpec(all).containers[0]?.env[0]).toMatchObject({ name: 'POD_NAME' });
  });

  it('scales the StatefulSet', () => {
    expect(find(objects({ ...CLAIMS, 'autoscaling.enabled': true }), 'HorizontalPodAutoscaler')?.spec).toMatchObject({
      scaleTargetRef: { kind: 'StatefulSet', name: 'rel-otaflux' },
    });
  });

  const CLAIM = { persistentVolumeClaim: { claimName: 'mine' } };

  it.each(['state', 'cache.dir'])('recreates the pod whose otaflux.%s.volume is a claim', (folder) => {
    const all = objects({ [`otaflux.${folder}`]: { enabled: true, volume: CLAIM } });
    expect(find(all, 'Deployment')?.spec.strategy).toEqual({ type: 'Recreate' });
    const others = { strategy: { rollingUpdate: { maxSurge: 2 } } };
    expect(find(objects(others), 'Deployment')?.spec).toMatchObject(others);
  });

  it.each([
    [{ ...CLAIMS, replicaCount: 2, 'persistence.existingClaim': 'mine' }, 'persistence.accessMode'],
    [{ 'persistence.existingClaim': 'mine' }, 'Set persistence.enabled: true'],
    [{ replicaCount: 2, 'otaflux.state': { enabled: true, volume: CLAIM } }, 'Set persistence.enabled: true'],
    [{ 'autoscaling.enabled': true, 'otaflux.cache.dir': { enabled: true, volume: CLAIM } }, 'persistence.enabled'],
    [{ ...CLAIMS, 'persistence.accessMode': 'ReadWriteTwice' }, /accessMode/],
    [{ ...CLAIMS, 'persistence.size': '10 gigs' }, /size/],
  ])('refuses %j', (values, message) => {
    expect(() => render(values)).toThrow(message);
  });
});

describeWith(['helm', 'kubeconform'], 'an update, a drain and a load', () => {
  const budget = (values: Values): unknown =>
    find(objects({ 'podDisruptionBudget.enabled': true, ...values }), 'PodDisruptionBudget')?.spec;

  it('lets nodes drain, one pod at a time', () => {
    expect(budget({})).toMatchObject({ maxUnavailable: 1, unhealthyPodEvictionPolicy: 'AlwaysAllow' });
    expect(budget({ replicaCount: 3, 'podDisruptionBudget.minAvailable': 2 })).toMatchObject({ minAvailable: 2 });
    expect(budget({ replicaCount: 2, 'podDisruptionBudget.minAvailable': '50%' })).not.toHaveProperty('maxUnavailable');
  });

  it.each([
    { 'podDisruptionBudget.minAvailable': 1 },
    { 'podDisruptionBudget.minAvailable': 2, replicaCount: 2 },
    { 'podDisruptionBudget.minAvailable': '100%', replicaCount: 4 },
    { 'podDisruptionBudget.minAvailable': '50%' },
    { 'podDisruptionBudget.maxUnavailable': 0 },
    { 'podDisruptionBudget.maxUnavailable': '0%' },
    { 'podDisruptionBudget.minAvailable': 2, 'autoscaling.enabled': true },
  ])('refuses a budget that no drain can keep: %j', (values) => {
    expect(() => budget(values)).toThrow('no node can be drained');
  });

  it('scales between bounds', () => {
    expect(find(objects({ 'autoscaling.enabled': true }), 'HorizontalPodAutoscaler')?.spec).toMatchObject({
      minReplicas: 2,
      maxReplicas: 5,
    });
    expect(() => render({ 'autoscaling.enabled': true, 'autoscaling.minReplicas': 6 })).toThrow(
      'autoscaling.minReplicas is 6, but autoscaling.maxReplicas is 5',
    );
    expect(notes({ 'autoscaling.enabled': true })).toContain('resources.requests.cpu');
    expect(notes({ 'autoscaling.enabled': true, 'resources.requests.cpu': '100m' })).not.toContain('resources');
  });

  it('spreads pods over nodes and zones', () => {
    const labelSelector = { matchLabels: { 'app.kubernetes.io/name': 'otaflux', 'app.kubernetes.io/instance': 'rel' } };
    expect(podSpec(objects({})).topologySpreadConstraints).toEqual(
      ['kubernetes.io/hostname', 'topology.kubernetes.io/zone'].map((topologyKey) => ({
        ...{ maxSkew: 1, topologyKey, whenUnsatisfiable: 'ScheduleAnyway', labelSelector },
      })),
    );
    const own = { maxSkew: 2, topologyKey: 'rack', whenUnsatisfiable: 'DoNotSchedule' };
    const selected = { ...own, labelSelector: { matchLabels: { a: 'b' } } };
    expect(podSpec(objects({ topologySpreadConstraints: [own, selected] })).topologySpreadConstraints).toEqual([
      { ...own, labelSelector },
      selected,
    ]);
    expect(podSpec(objects({ topologySpreadConstraints: [] }))).not.toHaveProperty('topologySpreadConstraints');
  });
});
