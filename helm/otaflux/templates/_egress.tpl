{{/* A rule for the TCP `ports` of a comma-separated list, to the peers `to`; nothing without a port. */}}
{{- define "otaflux.egressRule" -}}
{{- with .ports }}
- ports:
    {{- range splitList "," . }}
    - port: {{ . }}
      protocol: TCP
    {{- end }}
  {{- with $.to }}
  to:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}
{{- end -}}

{{/* The port of the registry; none for a folder. */}}
{{- define "otaflux.registryPorts" -}}
{{- $url := include "otaflux.registryUrl" . -}}
{{- if not (hasPrefix "oci:" $url) -}}
{{- $host := regexReplaceAll "^[A-Za-z]+://" $url "" | splitList "/" | first -}}
{{- $plain := or (hasPrefix "http:" (lower $url)) (and (not (contains "://" $url)) (include "otaflux.isTrue" (default dict .Values.otaflux.registry).insecure)) -}}
{{- regexFind ":[0-9]+$" $host | trimPrefix ":" | default (ternary "80" "443" (not (empty $plain))) -}}
{{- end -}}
{{- end -}}

{{/* The ports of Redis and of the brokers in otaflux.redis.url, otaflux.mqtt.url, otaflux.notify and otaflux.events, and networkPolicy.egress.brokerPorts. */}}
{{- define "otaflux.brokerPorts" -}}
{{- $mqtt := default dict .Values.otaflux.mqtt -}}
{{- $more := .Values.networkPolicy.egress.brokerPorts -}}
{{- if and $mqtt.existingSecret (not $mqtt.url) (not $more) -}}
{{- fail (printf "networkPolicy.egress.enabled is true, but the broker's URL is in the Secret %s, so its port is unknown. Set networkPolicy.egress.brokerPorts, such as [8883]" $mqtt.existingSecret) -}}
{{- end -}}
{{- $redis := default dict .Values.otaflux.redis -}}
{{- if and $redis.existingSecret (not $more) -}}
{{- fail (printf "networkPolicy.egress.enabled is true, but the URL of Redis is in the Secret %s, so its port is unknown. Set networkPolicy.egress.brokerPorts, such as [6379]" $redis.existingSecret) -}}
{{- end -}}
{{- $standard := dict "redis+sentinel" 26379 "rediss+sentinel" 26379 "redis+cluster" 6379 "rediss+cluster" 6379 "mqtt" 1883 "mqtts" 8883 "ws" 80 "wss" 443 "redis" 6379 "rediss" 6379 "nats" 4222 "tls" 4222
  "amqp" 5672 "amqps" 5671 "kafka" 9092 "kafkas" 9092 "http" 80 "https" 443 -}}
{{- $ports := list -}}
{{- $redisUrl := ternary "" (default "" $redis.url) (not (empty $redis.existingSecret)) -}}
{{- range $url := concat (default list .Values.otaflux.notify) (default list .Values.otaflux.events) (list (default "" $mqtt.url) $redisUrl) -}}
{{- if $url -}}
{{- $scheme := splitList ":" $url | first -}}
{{- $authority := regexFind "^[a-z+]+://[^/?#]*" $url | trimPrefix (printf "%s://" $scheme) -}}
{{- range $host := regexReplaceAll "^.*@" $authority "" | splitList "," -}}
{{- $port := regexFind ":[0-9]+$" $host | trimPrefix ":" | default (index $standard $scheme) -}}
{{- $ports = append $ports (int $port) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- range $more }}{{ $ports = append $ports (int .) }}{{ end -}}
{{- join "," (uniq $ports) -}}
{{- end -}}
