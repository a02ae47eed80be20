{{- define "otaflux.name" -}}
{{- .Values.nameOverride | default .Chart.Name | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* Name of all objects: the release's name, with the chart's name in it once. */}}
{{- define "otaflux.fullname" -}}
{{- $name := .Values.nameOverride | default .Chart.Name -}}
{{- $full := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) -}}
{{- .Values.fullnameOverride | default $full | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* A selector cannot change after the first installation. These two labels are those of the Rust server's chart. */}}
{{- define "otaflux.selectorLabels" -}}
app.kubernetes.io/name: {{ include "otaflux.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{/* The labels by which a NetworkPolicy finds the test pod, which must not receive requests from the Service. */}}
{{- define "otaflux.testLabels" -}}
app.kubernetes.io/name: {{ include "otaflux.name" . | trunc 58 | trimSuffix "-" }}-test
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "otaflux.commonLabels" -}}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- end -}}

{{- define "otaflux.labels" -}}
{{ include "otaflux.selectorLabels" . }}
{{ include "otaflux.commonLabels" . }}
{{- end -}}

{{- define "otaflux.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- .Values.serviceAccount.name | default (include "otaflux.fullname" .) -}}
{{- else -}}
{{- .Values.serviceAccount.name | default "default" -}}
{{- end -}}
{{- end -}}

{{- define "otaflux.image" -}}
{{- $image := .Values.image -}}
{{- $tag := toString (default "" $image.tag) -}}
{{- if $image.digest -}}
{{- printf "%s%s@%s" $image.repository (ternary (printf ":%s" $tag) "" (ne $tag "")) $image.digest -}}
{{- else -}}
{{- printf "%s:%s" $image.repository ($tag | default .Chart.AppVersion) -}}
{{- end -}}
{{- end -}}

{{/* Deployment, or StatefulSet where pods have volumes of their own. */}}
{{- define "otaflux.workload" -}}
{{- ternary "StatefulSet" "Deployment" .Values.persistence.enabled -}}
{{- end -}}

{{/* The smallest and the largest number of pods. */}}
{{- define "otaflux.minPods" -}}
{{- ternary .Values.autoscaling.minReplicas .Values.replicaCount .Values.autoscaling.enabled | default 1 | int -}}
{{- end -}}

{{- define "otaflux.maxPods" -}}
{{- ternary .Values.autoscaling.maxReplicas .Values.replicaCount .Values.autoscaling.enabled | default 1 | int -}}
{{- end -}}

{{/* "true" if a value of otaflux.cache.dir or otaflux.state is a volume claim that all pods share. */}}
{{- define "otaflux.sharedClaim" -}}
{{- range list (dig "cache" "dir" dict .Values.otaflux) (dig "state" dict .Values.otaflux) -}}
{{- if and .enabled .volume }}{{ if hasKey .volume "persistentVolumeClaim" }}true{{ end }}{{ end -}}
{{- end -}}
{{- end -}}

{{/* Listen addresses, and the port of one. */}}
{{- define "otaflux.listenAddr" -}}
{{- .Values.otaflux.listenAddr | default "0.0.0.0:8080" -}}
{{- end -}}

{{- define "otaflux.metricsListenAddr" -}}
{{- .Values.otaflux.metricsListenAddr | default "0.0.0.0:9090" -}}
{{- end -}}

{{- define "otaflux.port" -}}
{{- splitList ":" . | last -}}
{{- end -}}

{{/* registry.url, or registryUrl as in the first charts of the Rust server. */}}
{{- define "otaflux.registryUrl" -}}
{{- $registry := default dict .Values.otaflux.registry -}}
{{- $registry.url | default .Values.otaflux.registryUrl
    | required "otaflux.registry.url is empty. Set it to the URL of your registry, such as https://registry.example.com" -}}
{{- end -}}

{{/* An option's key without case, dashes and underscores: the server takes all spellings. */}}
{{- define "otaflux.fold" -}}
{{- lower . | replace "-" "" | replace "_" "" -}}
{{- end -}}

{{/* The folded keys of otaflux.config, each with a comma on both sides. */}}
{{- define "otaflux.configKeys" -}}
,{{ range $key, $value := default dict .Values.otaflux.config }}{{ include "otaflux.fold" $key }},{{ end }}
{{- end -}}

{{/* "true" if values say who must have signed a release. */}}
{{- define "otaflux.verifies" -}}
{{- $signing := default dict .Values.otaflux.signing -}}
{{- if or .Values.otaflux.cosignPubKey $signing.existingSecret $signing.identity $signing.identityRegexp $signing.policy
    (regexMatch ",(cosignpubkey|cosignpubkeypath|cosigncertificateidentity|cosigncertificateidentityregexp|signaturepolicy)," (include "otaflux.configKeys" .)) -}}
true
{{- end -}}
{{- end -}}

{{/* Proxies to trust. Outside of a ClusterIP, requests of strangers may come from private addresses as well. */}}
{{- define "otaflux.trustProxy" -}}
{{- if .Values.otaflux.trustProxy -}}
{{- join "," .Values.otaflux.trustProxy -}}
{{- else if and (or .Values.ingress.enabled .Values.httpRoute.enabled) (eq .Values.service.type "ClusterIP") -}}
{{- if not (contains ",trustproxy," (include "otaflux.configKeys" .)) -}}
10.0.0.0/8,100.64.0.0/10,172.16.0.0/12,192.168.0.0/16,fc00::/7
{{- end -}}
{{- end -}}
{{- end -}}
