{{- define "otaflux.name" -}}
{{- .Values.nameOverride | default .Chart.Name | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* Of all objects: the release's name, with the chart's in it once. */}}
{{- define "otaflux.fullname" -}}
{{- $name := .Values.nameOverride | default .Chart.Name -}}
{{- $full := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) -}}
{{- .Values.fullnameOverride | default $full | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* A deployment's selector can never change: these two are those of the Rust server's chart. */}}
{{- define "otaflux.selectorLabels" -}}
app.kubernetes.io/name: {{ include "otaflux.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "otaflux.labels" -}}
{{ include "otaflux.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- end -}}

{{- define "otaflux.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- .Values.serviceAccount.name | default (include "otaflux.fullname" .) -}}
{{- else -}}
{{- .Values.serviceAccount.name | default "default" -}}
{{- end -}}
{{- end -}}

{{- define "otaflux.port" -}}
{{- splitList ":" . | last -}}
{{- end -}}

{{/* The registry as newer values have it (registry.url), or as the first charts of the Rust server had it (registryUrl). */}}
{{- define "otaflux.registryUrl" -}}
{{- $registry := default dict .Values.otaflux.registry -}}
{{- $registry.url | default .Values.otaflux.registryUrl
    | required "otaflux.registry.url is missing: where firmware is pushed to, such as https://registry.example.com" -}}
{{- end -}}

{{/* Options that are no secrets, as variables; those without a value are left to the server. */}}
{{- define "otaflux.env" -}}
{{- $o := .Values.otaflux -}}
{{- $registry := default dict $o.registry -}}
{{- $mqtt := default dict $o.mqtt -}}
{{- $signing := default dict $o.signing -}}
{{- $cache := $o.cache -}}
{{- $state := $o.state -}}
{{- $env := dict
  "REGISTRY_URL" (include "otaflux.registryUrl" .)
  "REGISTRY_INSECURE" (ternary "true" "" (eq (toString $registry.insecure) "true"))
  "REPOSITORY_PREFIX" $o.repositoryPrefix
  "LISTEN_ADDR" $o.listenAddr
  "METRICS_LISTEN_ADDR" $o.metricsListenAddr
  "LOG_LEVEL" $o.logLevel
  "LOG_FORMAT" $o.logFormat
  "MQTT_TOPIC" $mqtt.topic
  "CACHE_MEMORY" $cache.memory
  "SHUTDOWN_GRACE" (printf "%ds" (int $o.shutdownGraceSeconds))
  "COSIGN_CERTIFICATE_IDENTITY" $signing.identity
  "COSIGN_CERTIFICATE_IDENTITY_REGEXP" $signing.identityRegexp
  "COSIGN_CERTIFICATE_OIDC_ISSUER" $signing.issuer
  "COSIGN_CERTIFICATE_OIDC_ISSUER_REGEXP" $signing.issuerRegexp
-}}
{{- if $registry.caCert }}{{ $_ := set $env "REGISTRY_CA_CERT_PATH" "/etc/otaflux/registry/ca.crt" }}{{ end -}}
{{- $keys := list -}}
{{- if $o.cosignPubKey }}{{ $keys = append $keys "/etc/otaflux/cosign/cosign.pub" }}{{ end -}}
{{- if $signing.existingSecret }}{{ $keys = append $keys "/etc/otaflux/keys" }}{{ end -}}
{{- if $keys }}{{ $_ := set $env "COSIGN_PUB_KEY_PATH" (join "," $keys) }}{{ end -}}
{{- if or $mqtt.existingTlsSecret $mqtt.caCert }}{{ $_ := set $env "MQTT_CA_CERT_PATH" "/etc/otaflux/mqtt/ca.crt" }}{{ end -}}
{{- if or $mqtt.existingTlsSecret $mqtt.clientCert }}{{ $_ := set $env "MQTT_CLIENT_CERT_PATH" "/etc/otaflux/mqtt/client.crt" }}{{ end -}}
{{- if or $mqtt.existingTlsSecret $mqtt.clientKey }}{{ $_ := set $env "MQTT_CLIENT_KEY_PATH" "/etc/otaflux/mqtt/client.key" }}{{ end -}}
{{- with $o.tls }}{{ if .existingSecret -}}
{{- $_ := set $env "TLS_CERT_PATH" "/etc/otaflux/tls/tls.crt" -}}
{{- $_ := set $env "TLS_KEY_PATH" "/etc/otaflux/tls/tls.key" -}}
{{- if .clientCertificates }}{{ $_ := set $env "TLS_CLIENT_CA_PATH" "/etc/otaflux/tls/ca.crt" }}{{ end -}}
{{- end }}{{ end -}}
{{- if $cache.dir.enabled }}{{ $_ := set $env "CACHE_DIR" "/var/cache/otaflux" }}{{ $_ := set $env "CACHE_DISK" $cache.dir.size }}{{ end -}}
{{- if $state.enabled }}{{ $_ := set $env "STATE_DIR" "/var/lib/otaflux" }}{{ end -}}
{{- if or $o.config $signing.policy }}{{ $_ := set $env "CONFIG" "/etc/otaflux/config/otaflux.yaml" }}{{ end -}}
{{- range $name, $value := $env }}
{{- if $value }}
- name: {{ $name }}
  value: {{ $value | toString | quote }}
{{- end }}
{{- end }}
{{- end -}}

{{/* Options that are secrets, as the data of a Secret. */}}
{{- define "otaflux.secretEnv" -}}
{{- $o := .Values.otaflux -}}
{{- $registry := default dict $o.registry -}}
{{- $mqtt := default dict $o.mqtt -}}
{{- $env := dict
  "REGISTRY_USERNAME" (ternary "" ($registry.username | default $o.registryUsername) (not (empty $registry.existingSecret)))
  "REGISTRY_PASSWORD" (ternary "" ($registry.password | default $o.registryPassword) (not (empty $registry.existingSecret)))
  "WEBHOOK_SECRET" $o.webhookSecret
  "NOTIFY" (join "," (default list $o.notify))
  "NOTIFY_SECRET" $o.notifySecret
-}}
{{- if not $mqtt.existingSecret -}}
{{- $_ := set $env "MQTT_URL" $mqtt.url -}}
{{- $_ := set $env "MQTT_USERNAME" $mqtt.username -}}
{{- $_ := set $env "MQTT_PASSWORD" $mqtt.password -}}
{{- end -}}
{{- range $name, $value := $env }}
{{- if $value }}
{{ $name }}: {{ $value | toString | quote }}
{{- end }}
{{- end }}
{{- end -}}
