{{/*
Checks the values whose schema has only their types (files/checks.json). Helm prints the pattern of a schema; a template
can say what was wrong, and what is expected. No secret is printed.
*/}}
{{- define "otaflux.validateValues" -}}
{{- $checks := .Files.Get "files/checks.json" | fromJson -}}
{{- range $path, $check := $checks.values -}}
{{- $value := $.Values -}}
{{- range $key := splitList "." $path }}{{ $value = index (default dict $value) $key }}{{ end -}}
{{- include "otaflux.checkValue" (dict "path" $path "value" $value "check" $check) -}}
{{- end -}}
{{- range $key, $value := default dict .Values.otaflux.config -}}
{{- with index $checks.config (include "otaflux.fold" $key) -}}
{{- include "otaflux.checkValue" (dict "path" (printf "otaflux.config.%s" $key) "value" $value "check" .) -}}
{{- end -}}
{{- end -}}
{{- $notify := default list .Values.otaflux.notify -}}
{{- if not (kindIs "slice" $notify) }}{{ $notify = ternary (list $notify) list (eq (splitList "://" $notify | len) 2) }}{{ end -}}
{{- range $index, $url := $notify -}}
{{- $scheme := splitList ":" $url | first -}}
{{- with index $checks.receivers $scheme -}}
{{- include "otaflux.checkReceiver" (dict "path" (printf "otaflux.notify[%d] (%s)" $index $scheme) "url" $url "check" . "topic" (default dict $.Values.otaflux.mqtt).topic) -}}
{{- end -}}
{{- end -}}
{{- include "otaflux.validatePem" . -}}
{{- end -}}

{{/* Fails if a value does not match `check`. An empty value is left to the server. */}}
{{- define "otaflux.checkValue" -}}
{{- $check := .check -}}
{{- $isNumber := or (kindIs "float64" .value) (kindIs "int64" .value) (kindIs "int" .value) -}}
{{- $good := true -}}
{{- if kindIs "slice" .value -}}
{{- range .value }}{{ if not (regexMatch (default "" $check.items) (toString .)) }}{{ $good = false }}{{ end }}{{ end -}}
{{- else if or .value $isNumber -}}
{{- $text := include "otaflux.text" .value | trim -}}
{{- $good = and (regexMatch (default "" $check.pattern) $text) (not (and $check.not (regexMatch (default "" $check.not) $text))) -}}
{{- end -}}
{{- if not $good -}}
{{- $hidden := or $check.secret (contains "@" (toString .value)) -}}
{{- $got := ternary "a value that is not shown, because it is or may contain a secret" (ternary (include "otaflux.text" .value) (toJson .value) $isNumber) $hidden -}}
{{- $advice := ternary (printf ". Add a unit and quotes: \"%ss\" are seconds" (include "otaflux.text" .value)) "" $isNumber -}}
{{- fail (printf "%s: got %s, expected %s%s" .path $got $check.takes $advice) -}}
{{- end -}}
{{- end -}}

{{/* Fails if a URL of otaflux.notify has a port, an option or a topic that the server refuses. */}}
{{- define "otaflux.checkReceiver" -}}
{{- $check := .check -}}
{{- $path := .path -}}
{{- $rest := regexReplaceAll "^[a-z+]+://" .url "" -}}
{{- $authority := regexFind "^[^/?#]*" $rest -}}
{{- $hosts := regexReplaceAll "^.*@" $authority "" -}}
{{- range $host := splitList "," $hosts -}}
{{- $port := regexFind ":[^:\\]]*$" $host | trimPrefix ":" -}}
{{- if and $port (or (not (regexMatch "^[0-9]{1,5}$" $port)) (gt (int $port) 65535)) -}}
{{- fail (printf "%s: its port is not a number up to 65535, expected a URL such as mqtt://broker.example.com:1883" $path) -}}
{{- end -}}
{{- end -}}
{{- $tail := trimPrefix $authority $rest -}}
{{- $query := "" -}}
{{- if $check.behindHash -}}
{{- if contains "#" $tail }}{{ $query = regexReplaceAll "^[^#]*#" $tail "" }}{{ end -}}
{{- else -}}
{{- $query = regexFind "\\?[^#]*" $tail | trimPrefix "?" -}}
{{- with $check.path -}}
{{- if not (regexMatch .pattern (regexFind "^[^?#]*" $tail)) }}{{ fail (printf "%s: the path of its URL is wrong, expected %s" $path .takes) }}{{ end -}}
{{- end -}}
{{- end -}}
{{- $options := dict -}}
{{- range $pair := splitList "&" $query -}}
{{- if $pair -}}
{{- $name := splitList "=" $pair | first -}}
{{- if not (has $name $check.options) -}}
{{- $shown := ternary (printf "the option %s" $name) "an option" (and (regexMatch "^[A-Za-z_-]+$" $name) (not (contains "@" $tail))) -}}
{{- fail (printf "%s: got %s, expected %s" $path $shown (join ", " $check.options)) -}}
{{- end -}}
{{- if not (hasKey $options $name) }}{{ $_ := set $options $name (regexReplaceAll "^[^=]*=?" $pair "" | replace "+" " " | replace "%20" " ") }}{{ end -}}
{{- end -}}
{{- end -}}
{{- range $name, $words := default dict $check.choices -}}
{{- if and (hasKey $options $name) (not (has (index $options $name) $words)) -}}
{{- fail (printf "%s: got %s=%s, expected %s=%s" $path $name (index $options $name) $name (join (printf ", %s=" $name) $words)) -}}
{{- end -}}
{{- end -}}
{{- if ne (hasKey $options "cert") (hasKey $options "key") }}{{ fail (printf "%s: has only one of cert and key, expected both" $path) }}{{ end -}}
{{- if and (hasKey $options "name") (not (regexMatch "^[A-Za-z0-9._-]{1,64}$" $options.name)) -}}
{{- fail (printf "%s: got name=%s, expected a name of letters, digits, ., _ and -" $path $options.name) -}}
{{- end -}}
{{- with $check.topic -}}
{{- $topic := $.topic | default "otaflux" | toString -}}
{{- if hasKey $options "topic" }}{{ $topic = $options.topic }}{{ end -}}
{{- $topic = regexReplaceAll "^/+|/+$" $topic "" -}}
{{- if contains "%" $topic -}}
{{- /* The server decodes it. */ -}}
{{- else if not (and (regexMatch .pattern $topic) (not (and .not (regexMatch (default "" .not) $topic)))) -}}
{{- fail (printf "%s: got topic=%s, expected %s" $path $topic .takes) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Fails if a PEM text is something else. Its content is never printed, because it may be a private key. */}}
{{- define "otaflux.validatePem" -}}
{{- $o := .Values.otaflux -}}
{{- $registry := default dict $o.registry -}}
{{- $mqtt := default dict $o.mqtt -}}
{{- include "otaflux.checkPem" (list "otaflux.cosignPubKey" $o.cosignPubKey "PUBLIC KEY" "public keys") -}}
{{- include "otaflux.checkPem" (list "otaflux.registry.caCert" $registry.caCert "CERTIFICATE" "certificates") -}}
{{- include "otaflux.checkPem" (list "otaflux.mqtt.caCert" $mqtt.caCert "CERTIFICATE" "certificates") -}}
{{- include "otaflux.checkPem" (list "otaflux.mqtt.clientCert" $mqtt.clientCert "CERTIFICATE" "a certificate") -}}
{{- include "otaflux.checkPem" (list "otaflux.mqtt.clientKey" $mqtt.clientKey "(?:[A-Z]+ )?PRIVATE KEY" "a private key without a passphrase") -}}
{{- end -}}

{{/* `list PATH TEXT LABEL NAME` */}}
{{- define "otaflux.checkPem" -}}
{{- $path := index . 0 -}}
{{- $text := index . 1 | default "" | toString -}}
{{- $label := index . 2 -}}
{{- $isKey := contains "PRIVATE" $label -}}
{{- $expected := printf "%s in PEM text (-----BEGIN %s-----)" (index . 3) (ternary "PRIVATE KEY" $label $isKey) -}}
{{- if $text -}}
{{- if and (not $isKey) (contains "PRIVATE KEY-----" $text) -}}
{{- fail (printf "%s contains a private key, expected %s. Remove the private key: nobody but its owner may have it" $path $expected) -}}
{{- else if and $isKey (or (contains "ENCRYPTED" $text) (contains "BEGIN OPENSSH" $text)) -}}
{{- fail (printf "%s is an encrypted key or a key of SSH, expected %s. Convert it with openssl pkey -in OLD -out NEW" $path $expected) -}}
{{- else if not (regexMatch (printf "-----BEGIN %s-----\\s[^-]*-----END %s-----" $label $label) $text) -}}
{{- fail (printf "%s contains other text, expected %s. Give the content of the file, not its path: --set-file %s=FILE" $path $expected $path) -}}
{{- end -}}
{{- end -}}
{{- end -}}
