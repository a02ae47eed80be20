{{/* The volumes of the pod and where the server sees them: name, mountPath, readOnly and the volume source of each. */}}
{{- define "otaflux.mounts" -}}
{{- $o := .Values.otaflux -}}
{{- $registry := default dict $o.registry -}}
{{- $mqtt := default dict $o.mqtt -}}
{{- $signing := default dict $o.signing -}}
{{- $tls := default dict $o.tls -}}
{{- $cacheDir := dig "cache" "dir" dict $o -}}
{{- $state := dig "state" dict $o -}}
{{- $fullname := include "otaflux.fullname" . -}}
{{- $persistence := .Values.persistence }}
# Firmware larger than the memory cache passes through /tmp.
- { name: tmp, mountPath: /tmp, source: { emptyDir: {} } }
{{- if or $o.config $signing.policy }}
- { name: config, mountPath: /etc/otaflux/config, readOnly: true, source: { configMap: { name: {{ $fullname }} } } }
{{- end }}
{{- if $o.cosignPubKey }}
- { name: certificates, mountPath: /etc/otaflux/cosign, readOnly: true, source: { configMap: { name: {{ $fullname }}-certificates } } }
{{- end }}
{{- if $registry.caCert }}
- { name: certificates, mountPath: /etc/otaflux/registry, readOnly: true, source: { configMap: { name: {{ $fullname }}-certificates } } }
{{- end }}
{{- with $signing.existingSecret }}
- { name: keys, mountPath: /etc/otaflux/keys, readOnly: true, source: { secret: { secretName: {{ . | quote }} } } }
{{- end }}
{{- if or $mqtt.existingTlsSecret $mqtt.caCert $mqtt.clientCert $mqtt.clientKey }}
- { name: mqtt-tls, mountPath: /etc/otaflux/mqtt, readOnly: true, source: { secret: { secretName: {{ $mqtt.existingTlsSecret | default (printf "%s-mqtt-tls" $fullname) | quote }} } } }
{{- end }}
{{- with $tls.existingSecret }}
- { name: tls, mountPath: /etc/otaflux/tls, readOnly: true, source: { secret: { secretName: {{ . | quote }} } } }
{{- end }}
{{- if $persistence.enabled }}
- { name: data, mountPath: /data, source: {{ ternary (dict "persistentVolumeClaim" (dict "claimName" $persistence.existingClaim)) dict (not (empty $persistence.existingClaim)) | toJson }} }
{{- end }}
{{- if and $cacheDir.enabled (or $cacheDir.volume (not $persistence.enabled)) }}
- { name: cache, mountPath: /var/cache/otaflux, source: {{ $cacheDir.volume | default (dict "emptyDir" dict) | toJson }} }
{{- end }}
{{- if and $state.enabled (or $state.volume (not $persistence.enabled)) }}
- { name: state, mountPath: /var/lib/otaflux, source: {{ $state.volume | default (dict "emptyDir" dict) | toJson }} }
{{- end }}
{{- end -}}

{{- define "otaflux.volumeMounts" -}}
{{- range include "otaflux.mounts" . | fromYamlArray }}
- name: {{ .name }}
  mountPath: {{ .mountPath }}
  {{- if .readOnly }}
  readOnly: true
  {{- end }}
{{- end }}
{{- end -}}

{{/* Each volume once; a volume claim template of the StatefulSet has no source here. */}}
{{- define "otaflux.volumes" -}}
{{- $seen := dict }}
{{- range include "otaflux.mounts" . | fromYamlArray }}
{{- if and .source (not (hasKey $seen .name)) }}
- name: {{ .name }}
  {{- toYaml .source | nindent 2 }}
{{- end }}
{{- $_ := set $seen .name true }}
{{- end }}
{{- end -}}
