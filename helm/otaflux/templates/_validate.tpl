{{/* Refuses values that contradict each other. Each refusal says what is given, what is expected and what to set. */}}
{{- define "otaflux.validate" -}}
{{- if and .Values.networkPolicy.enabled .Values.metrics.serviceMonitor.enabled (not .Values.networkPolicy.metricsFrom) -}}
{{- fail "networkPolicy.enabled and metrics.serviceMonitor.enabled are true, but networkPolicy.metricsFrom is empty, so that a Prometheus in another namespace gets no metrics. Set networkPolicy.metricsFrom to its namespace, such as [{ namespaceSelector: { matchLabels: { kubernetes.io/metadata.name: monitoring } } }], or to [{ podSelector: {} }] if it runs in the namespace of this release" -}}
{{- end -}}
{{- $o := .Values.otaflux -}}
{{- $registry := default dict $o.registry -}}
{{- $mqtt := default dict $o.mqtt -}}
{{- $signing := default dict $o.signing -}}
{{- $tls := default dict $o.tls -}}
{{- $hidden := or $o.existingSecret $o.extraEnv $o.extraEnvFrom $o.extraArgs -}}

{{- if and $tls.clientCertificates (not $tls.existingSecret) -}}
{{- fail "otaflux.tls.clientCertificates is true, but otaflux.tls.existingSecret is empty: client certificates need TLS. Set otaflux.tls.existingSecret to a Secret with tls.crt, tls.key and ca.crt" -}}
{{- end -}}
{{- if and $registry.password (not $registry.username) (not $registry.existingSecret) (not $hidden) -}}
{{- fail "otaflux.registry.password is set, but otaflux.registry.username is empty. Set otaflux.registry.username" -}}
{{- end -}}
{{- if not $mqtt.existingTlsSecret -}}
{{- if and $mqtt.clientCert (not $mqtt.clientKey) -}}
{{- fail "otaflux.mqtt.clientCert is set, but otaflux.mqtt.clientKey is empty. Set otaflux.mqtt.clientKey to the key of the certificate" -}}
{{- else if and $mqtt.clientKey (not $mqtt.clientCert) -}}
{{- fail "otaflux.mqtt.clientKey is set, but otaflux.mqtt.clientCert is empty. Set otaflux.mqtt.clientCert to the certificate of the key" -}}
{{- end -}}
{{- end -}}
{{- include "otaflux.validateValues" . -}}
{{- if not $hidden -}}
{{- $keys := include "otaflux.configKeys" . -}}
{{- include "otaflux.validatePairs" . -}}
{{- $identity := or $signing.identity $signing.identityRegexp (contains ",cosigncertificateidentity" $keys) -}}
{{- $issuer := or $signing.issuer $signing.issuerRegexp (contains ",cosigncertificateoidcissuer" $keys) -}}
{{- if and $identity (not $issuer) -}}
{{- fail "otaflux.signing.identity or identityRegexp is set, but no issuer: anybody could vouch for the identity. Set otaflux.signing.issuer or otaflux.signing.issuerRegexp" -}}
{{- else if and $issuer (not $identity) -}}
{{- fail "otaflux.signing.issuer or issuerRegexp is set, but no identity. Set otaflux.signing.identity or otaflux.signing.identityRegexp" -}}
{{- end -}}
{{- end -}}

{{- include "otaflux.validateAddresses" . -}}
{{- include "otaflux.validateConfig" . -}}
{{- include "otaflux.validateProduction" . -}}
{{- include "otaflux.validatePods" . -}}
{{- include "otaflux.validateService" . -}}
{{- end -}}

{{- define "otaflux.validateAddresses" -}}
{{- $addresses := dict "listenAddr" (include "otaflux.listenAddr" .) "metricsListenAddr" (include "otaflux.metricsListenAddr" .) -}}
{{- range $name, $address := $addresses -}}
{{- $port := include "otaflux.port" $address -}}
{{- if regexMatch "^(127\\.|localhost:|\\[::1\\])" $address -}}
{{- fail (printf "otaflux.%s is %s, a loopback address: probes and the Service cannot reach it. Set otaflux.%s: 0.0.0.0:%s" $name $address $name $port) -}}
{{- else if eq (int $port) 0 -}}
{{- fail (printf "otaflux.%s is %s, but the Service needs a port from 1 to 65535. Set otaflux.%s: 0.0.0.0:%s" $name $address $name (ternary "8080" "9090" (eq $name "listenAddr"))) -}}
{{- end -}}
{{- end -}}
{{- $ports := list (include "otaflux.port" $addresses.listenAddr) (include "otaflux.port" $addresses.metricsListenAddr) -}}
{{- if eq (first $ports) (last $ports) -}}
{{- fail (printf "otaflux.listenAddr and otaflux.metricsListenAddr use the same port, %s. Set otaflux.metricsListenAddr: 0.0.0.0:9090" (first $ports)) -}}
{{- end -}}
{{- end -}}

{{/* A variable wins over the configuration file, so a key in otaflux.config would have no effect. */}}
{{- define "otaflux.validateConfig" -}}
{{- $values := dict "REGISTRY_URL" "registry.url" "REGISTRY_INSECURE" "registry.insecure" "REGISTRY_CA_CERT_PATH" "registry.caCert"
  "REDIS_URL" "redis.url" "REGISTRY_USERNAME" "registry.username" "MQTT_USERNAME" "mqtt.username" "MQTT_TOPIC" "mqtt.topic"
  "MQTT_CA_CERT_PATH" "mqtt.caCert" "MQTT_CLIENT_CERT_PATH" "mqtt.clientCert" "MQTT_CLIENT_KEY_PATH" "mqtt.clientKey"
  "REPOSITORY_PREFIX" "repositoryPrefix" "LISTEN_ADDR" "listenAddr" "METRICS_LISTEN_ADDR" "metricsListenAddr"
  "LOG_LEVEL" "logLevel" "LOG_FORMAT" "logFormat" "TRUST_PROXY" "trustProxy" "PRODUCTION" "production"
  "CACHE_MEMORY" "cache.memory" "CACHE_DIR" "cache.dir" "CACHE_DISK" "cache.dir.size" "STATE_DIR" "state"
  "SHUTDOWN_GRACE" "shutdownGraceSeconds" "COSIGN_PUB_KEY_PATH" "signing.existingSecret"
  "COSIGN_CERTIFICATE_IDENTITY" "signing.identity" "COSIGN_CERTIFICATE_IDENTITY_REGEXP" "signing.identityRegexp"
  "COSIGN_CERTIFICATE_OIDC_ISSUER" "signing.issuer" "COSIGN_CERTIFICATE_OIDC_ISSUER_REGEXP" "signing.issuerRegexp"
  "TLS_CERT_PATH" "tls.existingSecret" "TLS_KEY_PATH" "tls.existingSecret" "TLS_CLIENT_CA_PATH" "tls.clientCertificates" -}}
{{- $set := dict -}}
{{- range $name, $value := merge (include "otaflux.options" . | fromYaml) (include "otaflux.secretEnv" . | fromYaml) -}}
{{- $_ := set $set (include "otaflux.fold" $name) (index $values $name | default $name) -}}
{{- end -}}
{{- if (default dict .Values.otaflux.signing).policy }}{{ $_ := set $set "signaturepolicy" "signing.policy" }}{{ end -}}
{{- $seen := dict -}}
{{- range $key, $value := default dict .Values.otaflux.config -}}
{{- $option := include "otaflux.fold" $key -}}
{{- with index $set $option -}}
{{- fail (printf "otaflux.config.%s has no effect, because otaflux.%s sets the same option. Set otaflux.%s and remove otaflux.config.%s" $key . . $key) -}}
{{- end -}}
{{- with index $seen $option -}}
{{- fail (printf "otaflux.config.%s and otaflux.config.%s are the same option. Remove one of them" . $key) -}}
{{- end -}}
{{- $_ := set $seen $option $key -}}
{{- end -}}
{{- if and (index $seen "deviceheader") (not .Values.otaflux.trustProxy) (not (index $seen "trustproxy")) -}}
{{- fail "otaflux.config.device-header lets trusted proxies say which device asks, but otaflux.trustProxy is empty. Set otaflux.trustProxy to the addresses of these proxies only" -}}
{{- end -}}
{{- end -}}

{{/* Keys of otaflux.config that the server takes only together with others. */}}
{{- define "otaflux.validatePairs" -}}
{{- $keys := include "otaflux.configKeys" . -}}
{{- $mqtt := default dict .Values.otaflux.mqtt -}}
{{- $tls := default dict .Values.otaflux.tls -}}
{{- $cert := contains ",tlscertpath," $keys -}}
{{- $key := contains ",tlskeypath," $keys -}}
{{- if and (not $tls.existingSecret) (ne $cert $key) -}}
{{- fail (printf "otaflux.config.%s is set, but otaflux.config.%s is not. Set both, or otaflux.tls.existingSecret" (ternary "tls-cert-path" "tls-key-path" $cert) (ternary "tls-key-path" "tls-cert-path" $cert)) -}}
{{- end -}}
{{- if and (contains ",tlsclientcapath," $keys) (not (or $tls.existingSecret $cert)) -}}
{{- fail "otaflux.config.tls-client-ca-path is set, but no certificate of the server: client certificates need TLS. Set otaflux.tls.existingSecret and otaflux.tls.clientCertificates instead" -}}
{{- end -}}
{{- if and (contains ",tlsdevicemap," $keys) (not (or $tls.clientCertificates (contains ",tlsclientcapath," $keys))) -}}
{{- fail "otaflux.config.tls-device-map is set, but no client certificates are required, so that the map has no effect. Set otaflux.tls.clientCertificates: true" -}}
{{- end -}}
{{- $cert = contains ",mqttclientcertpath," $keys -}}
{{- $key = contains ",mqttclientkeypath," $keys -}}
{{- if and (not $mqtt.existingTlsSecret) (ne (or $cert (not (empty $mqtt.clientCert))) (or $key (not (empty $mqtt.clientKey)))) -}}
{{- fail (printf "otaflux.config.%s is set, but otaflux.config.%s is not. Set both, or otaflux.mqtt.existingTlsSecret" (ternary "mqtt-client-cert-path" "mqtt-client-key-path" $cert) (ternary "mqtt-client-key-path" "mqtt-client-cert-path" $cert)) -}}
{{- end -}}
{{- end -}}

{{/* "true" if otaflux.production or the same key of otaflux.config is. */}}
{{- define "otaflux.isProduction" -}}
{{- $given := list .Values.otaflux.production -}}
{{- range $key, $value := default dict .Values.otaflux.config }}{{ if eq (include "otaflux.fold" $key) "production" }}{{ $given = append $given $value }}{{ end }}{{ end -}}
{{- range $given }}{{ include "otaflux.isTrue" . }}{{ end -}}
{{- end -}}

{{/* The rules of signing.policy or otaflux.config.signature-policy, as JSON: a list. */}}
{{- define "otaflux.policy" -}}
{{- $policy := (default dict .Values.otaflux.signing).policy -}}
{{- range $key, $value := default dict .Values.otaflux.config }}{{ if eq (include "otaflux.fold" $key) "signaturepolicy" }}{{ $policy = $value }}{{ end }}{{ end -}}
{{- if kindIs "string" $policy }}{{ $policy }}{{ else }}{{ default list $policy | toJson }}{{ end -}}
{{- end -}}

{{/* The server checks the same; without this, its pods would not start. */}}
{{- define "otaflux.validateProduction" -}}
{{- $o := .Values.otaflux -}}
{{- $keys := include "otaflux.configKeys" . -}}
{{- if and (include "otaflux.isProduction" .) (not (or $o.existingSecret $o.extraEnv $o.extraEnvFrom $o.extraArgs)) -}}
{{- $missing := list -}}
{{- if not (include "otaflux.verifies" .) -}}
{{- $missing = append $missing "signature verification: set otaflux.signing.existingSecret, otaflux.signing.identity or otaflux.signing.policy" -}}
{{- end -}}
{{- if not (or $o.webhookSecret (contains ",webhooksecretfile," $keys)) -}}
{{- $missing = append $missing "a webhook secret: set otaflux.webhookSecret, or WEBHOOK_SECRET in otaflux.existingSecret" -}}
{{- end -}}
{{- if not (or $o.managementToken (contains ",managementtokenfile," $keys)) -}}
{{- $missing = append $missing "a management token: set otaflux.managementToken, or MANAGEMENT_TOKEN in otaflux.existingSecret" -}}
{{- end -}}
{{- if not (or (default dict $o.tls).existingSecret (include "otaflux.trustProxy" .) (regexMatch ",(tlscertpath|trustproxy)," $keys)) -}}
{{- $missing = append $missing "TLS, or a proxy that ends TLS: set otaflux.tls.existingSecret or otaflux.trustProxy" -}}
{{- end -}}
{{- range $index, $rule := include "otaflux.policy" . | default "[]" | fromJsonArray -}}
{{- if and (kindIs "map" $rule) (hasKey $rule "required") (eq (lower (toString $rule.required)) "false") -}}
{{- $missing = append $missing (printf "signatures of all devices: rule %d of the policy (%s) has required: false. Name its signers" (add1 $index) (toJson $rule.match)) -}}
{{- end -}}
{{- end -}}
{{- if regexMatch "^[(^]*\\.[*+][)$]*$" (toString (default dict $o.signing).identityRegexp) -}}
{{- $missing = append $missing (printf "a signer: otaflux.signing.identityRegexp is %s, which everybody matches. Use a pattern for your own identities only" (toJson $o.signing.identityRegexp)) -}}
{{- end -}}
{{- range $network := splitList "," (include "otaflux.trustProxy" .) -}}
{{- if hasSuffix "/0" $network -}}
{{- $missing = append $missing (printf "a list of proxies: otaflux.trustProxy contains %s, which is everybody. Set it to the addresses of your proxies" $network) -}}
{{- end -}}
{{- end -}}
{{- if $missing -}}
{{- fail (printf "otaflux.production is true, but these are missing:\n- %s" (join "\n- " $missing)) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "otaflux.validateService" -}}
{{- $service := .Values.service -}}
{{- if and .Values.httpRoute.enabled (not .Values.httpRoute.parentRefs) -}}
{{- fail "httpRoute.enabled is true, but httpRoute.parentRefs is empty. Set httpRoute.parentRefs to the gateways of the route, such as [{ name: my-gateway }]" -}}
{{- end -}}
{{- if ne $service.type "LoadBalancer" -}}
{{- range $name := list "loadBalancerClass" "loadBalancerSourceRanges" -}}
{{- if index $service $name -}}
{{- fail (printf "service.%s is set, but service.type is %s. Set service.type: LoadBalancer, or remove service.%s" $name $service.type $name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if eq $service.type "ClusterIP" -}}
{{- range $name := list "externalTrafficPolicy" "nodePort" -}}
{{- if index $service $name -}}
{{- fail (printf "service.%s is set, but service.type is ClusterIP. Set service.type: LoadBalancer or NodePort, or remove service.%s" $name $name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "otaflux.validatePods" -}}
{{- $min := include "otaflux.minPods" . | int -}}
{{- $max := include "otaflux.maxPods" . | int -}}
{{- $persistence := .Values.persistence -}}
{{- if and .Values.autoscaling.enabled (gt $min $max) -}}
{{- fail (printf "autoscaling.minReplicas is %d, but autoscaling.maxReplicas is %d. Set autoscaling.maxReplicas: %d or more" $min $max $min) -}}
{{- end -}}
{{- if and $persistence.existingClaim (not $persistence.enabled) -}}
{{- fail (printf "persistence.existingClaim is %s, but persistence.enabled is false. Set persistence.enabled: true" $persistence.existingClaim) -}}
{{- end -}}
{{- if and $persistence.existingClaim (gt $max 1) (ne $persistence.accessMode "ReadWriteMany") -}}
{{- fail (printf "persistence.existingClaim is one claim for up to %d pods, but persistence.accessMode is %s: only one node can mount it. Remove persistence.existingClaim, so that each pod gets a claim, or set persistence.accessMode: ReadWriteMany" $max $persistence.accessMode) -}}
{{- end -}}
{{- if and (include "otaflux.sharedClaim" .) (gt $max 1) -}}
{{- fail (printf "otaflux.cache.dir.volume or otaflux.state.volume is one claim for up to %d pods, but each pod needs a folder of its own. Set persistence.enabled: true instead of the volume" $max) -}}
{{- end -}}
{{- if .Values.podDisruptionBudget.enabled -}}
{{- $minAvailable := .Values.podDisruptionBudget.minAvailable -}}
{{- $maxUnavailable := .Values.podDisruptionBudget.maxUnavailable -}}
{{- $stay := 0 -}}
{{- if not (kindIs "invalid" $minAvailable) -}}
{{- $stay = int (trimSuffix "%" (toString $minAvailable)) -}}
{{- if hasSuffix "%" (toString $minAvailable) }}{{ $stay = div (add (mul $stay $min) 99) 100 }}{{ end -}}
{{- if ge (int $stay) $min -}}
{{- fail (printf "podDisruptionBudget.minAvailable is %v for %d pods: no node can be drained. Remove it and set podDisruptionBudget.maxUnavailable: 1, or add pods" $minAvailable $min) -}}
{{- end -}}
{{- else if eq (int (trimSuffix "%" (toString $maxUnavailable))) 0 -}}
{{- fail (printf "podDisruptionBudget.maxUnavailable is %v: no node can be drained. Set podDisruptionBudget.maxUnavailable: 1" $maxUnavailable) -}}
{{- end -}}
{{- end -}}
{{- end -}}
