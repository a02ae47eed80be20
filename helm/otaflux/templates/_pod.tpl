{{/* The pod template of the Deployment or StatefulSet. */}}
{{- define "otaflux.pod" -}}
{{- $o := .Values.otaflux }}
metadata:
  annotations:
    # Variables are read at the start: a changed value replaces the pods.
    checksum/config: {{ include (print $.Template.BasePath "/configmap.yaml") . | sha256sum }}
    checksum/secrets: {{ include (print $.Template.BasePath "/secrets.yaml") . | sha256sum }}
    {{- with .Values.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  labels:
    {{- include "otaflux.labels" . | nindent 4 }}
    {{- with .Values.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  {{- with .Values.imagePullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  serviceAccountName: {{ include "otaflux.serviceAccountName" . }}
  automountServiceAccountToken: {{ .Values.serviceAccount.automount }}
  # Kubernetes would add variables named after Services, which could be taken for options.
  enableServiceLinks: false
  terminationGracePeriodSeconds: {{ add $o.shutdownGraceSeconds .Values.preStopSeconds 10 }}
  {{- with .Values.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  {{- with .Values.podSecurityContext }}
  securityContext:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.dnsPolicy }}
  dnsPolicy: {{ . }}
  {{- end }}
  {{- range $key := list "dnsConfig" "hostAliases" "initContainers" }}
  {{- with index $.Values $key }}
  {{ $key }}:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- end }}
  containers:
    {{- include "otaflux.container" . | trim | nindent 4 }}
    {{- with .Values.extraContainers }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  volumes:
    {{- include "otaflux.volumes" . | trim | nindent 4 }}
    {{- with .Values.extraVolumes }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- range $key := list "nodeSelector" "affinity" "tolerations" }}
  {{- with index $.Values $key }}
  {{ $key }}:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- end }}
  {{- $spread := list }}
  {{- $selector := dict "labelSelector" (dict "matchLabels" (include "otaflux.selectorLabels" . | fromYaml)) }}
  {{- range .Values.topologySpreadConstraints }}
  {{- $spread = append $spread (ternary . (merge (deepCopy .) $selector) (hasKey . "labelSelector")) }}
  {{- end }}
  {{- with $spread }}
  topologySpreadConstraints:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}

{{- define "otaflux.container" -}}
{{- $o := .Values.otaflux }}
- name: otaflux
  {{- with .Values.securityContext }}
  securityContext:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  image: {{ include "otaflux.image" . | quote }}
  imagePullPolicy: {{ .Values.image.pullPolicy }}
  {{- with $o.extraArgs }}
  args:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  env:
    {{- include "otaflux.env" . | trim | nindent 4 }}
    {{- with $o.extraEnv }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  envFrom:
    - secretRef:
        name: {{ include "otaflux.fullname" . }}
    {{- range list (default dict $o.registry).existingSecret (default dict $o.mqtt).existingSecret $o.existingSecret }}
    {{- if . }}
    - secretRef:
        name: {{ . }}
    {{- end }}
    {{- end }}
    {{- with $o.extraEnvFrom }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  ports:
    - name: http
      containerPort: {{ include "otaflux.port" (include "otaflux.listenAddr" .) }}
      protocol: TCP
    - name: metrics
      containerPort: {{ include "otaflux.port" (include "otaflux.metricsListenAddr" .) }}
      protocol: TCP
  {{- range $probe := list "startupProbe" "livenessProbe" "readinessProbe" }}
  {{- with index $.Values $probe }}
  {{ $probe }}:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- end }}
  {{- with .Values.preStopSeconds }}
  # New connections arrive until every node has removed the pod from the Service.
  lifecycle:
    preStop:
      {{- if semverCompare ">=1.30.0-0" $.Capabilities.KubeVersion.Version }}
      sleep:
        seconds: {{ . }}
      {{- else }}
      exec:
        command: [/usr/bin/node, -e, 'setTimeout(() => {}, {{ mul . 1000 }})']
      {{- end }}
  {{- end }}
  {{- with .Values.resources }}
  resources:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  volumeMounts:
    {{- include "otaflux.volumeMounts" . | trim | nindent 4 }}
    {{- with .Values.extraVolumeMounts }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end -}}
