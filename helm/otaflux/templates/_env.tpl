{{/* A value as text: a list with commas, and a large number without an exponent. */}}
{{- define "otaflux.text" -}}
{{- if kindIs "slice" . -}}
{{- join "," . -}}
{{- else if and (kindIs "float64" .) (eq (floor .) .) -}}
{{- printf "%.0f" . -}}
{{- else -}}
{{- toString . -}}
{{- end -}}
{{- end -}}

{{/* "true" for a boolean in any spelling that the server takes. */}}
{{- define "otaflux.isTrue" -}}
{{- if has (lower (toString .)) (list "true" "1" "yes" "on") }}true{{ end -}}
{{- end -}}

{{/* Options that are not secret, as YAML: variable to value. Empty values are left to the server. */}}
{{- define "otaflux.options" -}}
{{- $o := .Values.otaflux -}}
{{- $registry := default dict $o.registry -}}
{{- $mqtt := default dict $o.mqtt -}}
{{- $signing := default dict $o.signing -}}
{{- $cache := default dict $o.cache -}}
{{- $cacheDir := default dict $cache.dir -}}
{{- $state := default dict $o.state -}}
{{- $tls := default dict $o.tls -}}
{{- $data := ternary "/data/$(POD_NAME)" "/data" (not (empty .Values.persistence.existingClaim)) -}}
{{- $persistent := .Values.persistence.enabled -}}
{{- $env := dict
  "REGISTRY_URL" (include "otaflux.registryUrl" .)
  "REGISTRY_INSECURE" (ternary "true" "" (eq (include "otaflux.isTrue" $registry.insecure) "true"))
  "REPOSITORY_PREFIX" $o.repositoryPrefix
  "LISTEN_ADDR" (include "otaflux.listenAddr" .)
  "METRICS_LISTEN_ADDR" (include "otaflux.metricsListenAddr" .)
  "LOG_LEVEL" $o.logLevel
  "LOG_FORMAT" $o.logFormat
  "TRUST_PROXY" (include "otaflux.trustProxy" .)
  "MQTT_TOPIC" $mqtt.topic
  "CACHE_MEMORY" $cache.memory
  "SHUTDOWN_GRACE" (printf "%ds" (int $o.shutdownGraceSeconds))
  "COSIGN_CERTIFICATE_IDENTITY" $signing.identity
  "COSIGN_CERTIFICATE_IDENTITY_REGEXP" $signing.identityRegexp
  "COSIGN_CERTIFICATE_OIDC_ISSUER" $signing.issuer
  "COSIGN_CERTIFICATE_OIDC_ISSUER_REGEXP" $signing.issuerRegexp
-}}
{{- if include "otaflux.isTrue" $o.production }}{{ $_ := set $env "PRODUCTION" "true" }}{{ end -}}
{{- if $registry.caCert }}{{ $_ := set $env "REGISTRY_CA_CERT_PATH" "/etc/otaflux/registry/ca.crt" }}{{ end -}}
{{- $keys := list -}}
{{- if $o.cosignPubKey }}{{ $keys = append $keys "/etc/otaflux/cosign/cosign.pub" }}{{ end -}}
{{- if $signing.existingSecret }}{{ $keys = append $keys "/etc/otaflux/keys" }}{{ end -}}
{{- $_ := set $env "COSIGN_PUB_KEY_PATH" (join "," $keys) -}}
{{- if or $mqtt.existingTlsSecret $mqtt.caCert }}{{ $_ := set $env "MQTT_CA_CERT_PATH" "/etc/otaflux/mqtt/ca.crt" }}{{ end -}}
{{- if or $mqtt.existingTlsSecret $mqtt.clientCert }}{{ $_ := set $env "MQTT_CLIENT_CERT_PATH" "/etc/otaflux/mqtt/client.crt" }}{{ end -}}
{{- if or $mqtt.existingTlsSecret $mqtt.clientKey }}{{ $_ := set $env "MQTT_CLIENT_KEY_PATH" "/etc/otaflux/mqtt/client.key" }}{{ end -}}
{{- if $tls.existingSecret -}}
{{- $_ := set $env "TLS_CERT_PATH" "/etc/otaflux/tls/tls.crt" -}}
{{- $_ := set $env "TLS_KEY_PATH" "/etc/otaflux/tls/tls.key" -}}
{{- if $tls.clientCertificates }}{{ $_ := set $env "TLS_CLIENT_CA_PATH" "/etc/otaflux/tls/ca.crt" }}{{ end -}}
{{- end -}}
{{- if and $cacheDir.enabled (or $cacheDir.volume (not $persistent)) }}{{ $_ := set $env "CACHE_DIR" "/var/cache/otaflux" -}}
{{- else if $persistent }}{{ $_ := set $env "CACHE_DIR" (printf "%s/cache" $data) }}{{ end -}}
{{- if $env.CACHE_DIR }}{{ $_ := set $env "CACHE_DISK" $cacheDir.size }}{{ end -}}
{{- if and $state.enabled (or $state.volume (not $persistent)) }}{{ $_ := set $env "STATE_DIR" "/var/lib/otaflux" -}}
{{- else if $persistent }}{{ $_ := set $env "STATE_DIR" (printf "%s/state" $data) }}{{ end -}}
{{- if or $o.config $signing.policy }}{{ $_ := set $env "CONFIG" "/etc/otaflux/config/otaflux.yaml" }}{{ end -}}
{{- range $name, $value := $env }}
{{- if $value }}
{{ $name }}: {{ include "otaflux.text" $value | quote }}
{{- end }}
{{- end }}
{{- end -}}

{{/* The same as the variables of a container. */}}
{{- define "otaflux.env" -}}
{{- if and .Values.persistence.enabled .Values.persistence.existingClaim }}
- name: POD_NAME
  valueFrom:
    fieldRef:
      fieldPath: metadata.name
{{- end }}
{{- with default dict .Values.otaflux.redis }}
{{- if .existingSecret }}
- name: REDIS_URL
  valueFrom:
    secretKeyRef:
      name: {{ .existingSecret }}
      key: {{ .existingSecretKey | default "REDIS_URL" }}
{{- end }}
{{- end }}
{{- range $name, $value := include "otaflux.options" . | fromYaml }}
- name: {{ $name }}
  value: {{ $value | quote }}
{{- end }}
{{- end -}}

{{/* Options that are secret, as the data of a Secret. */}}
{{- define "otaflux.secretEnv" -}}
{{- $o := .Values.otaflux -}}
{{- $registry := default dict $o.registry -}}
{{- $mqtt := default dict $o.mqtt -}}
{{- $env := dict
  "WEBHOOK_SECRET" $o.webhookSecret
  "MANAGEMENT_TOKEN" $o.managementToken
  "NOTIFY" $o.notify
  "EVENTS" $o.events
  "NOTIFY_SECRET" $o.notifySecret
-}}
{{- if not $registry.existingSecret -}}
{{- $_ := set $env "REGISTRY_USERNAME" ($registry.username | default $o.registryUsername) -}}
{{- $_ := set $env "REGISTRY_PASSWORD" ($registry.password | default $o.registryPassword) -}}
{{- end -}}
{{- $redis := default dict $o.redis -}}
{{- if not $redis.existingSecret }}{{ $_ := set $env "REDIS_URL" $redis.url }}{{ end -}}
{{- if not $mqtt.existingSecret -}}
{{- $_ := set $env "MQTT_URL" $mqtt.url -}}
{{- $_ := set $env "MQTT_USERNAME" $mqtt.username -}}
{{- $_ := set $env "MQTT_PASSWORD" $mqtt.password -}}
{{- end -}}
{{- range $name, $value := $env }}
{{- if $value }}
{{ $name }}: {{ include "otaflux.text" $value | quote }}
{{- end }}
{{- end }}
{{- end -}}
