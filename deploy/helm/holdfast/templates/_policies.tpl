{{/* Labels that every pod of this release has. */}}
{{- define "holdfast.ownPods" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{/* Where the API server is: as configured, and its addresses as the cluster itself says them, public ones too. */}}
{{- define "holdfast.apiServer" -}}
{{- $peers := .Values.networkPolicy.apiServer -}}
{{- range (lookup "v1" "Endpoints" "default" "kubernetes" | default dict).subsets -}}
{{- range .addresses -}}
{{- $peers = append $peers (dict "ipBlock" (dict "cidr" (printf "%s/%s" .ip (ternary "128" "32" (contains ":" .ip))))) -}}
{{- end -}}
{{- end -}}
{{- toYaml $peers -}}
{{- end -}}

{{- define "holdfast.policyPorts" -}}
{{- range . }}
- {port: {{ . }}, protocol: TCP}
{{- end }}
{{- end -}}

{{/* Where a service goes outside of this release, by reason: {"broker": {"to": [...], "ports": [443]}}. */}}
{{- define "holdfast.outside" -}}
{{- $policy := .root.Values.networkPolicy -}}
{{- $found := dict -}}
{{- if and .service.broker (not (include "holdfast.paper" .root)) -}}
{{- $_ := set $found "broker" (dict "to" $policy.broker "ports" (list 443)) -}}
{{- end -}}
{{- if and .service.ledger (not .root.Values.postgresql.enabled) -}}
{{- $_ := set $found "postgresql" (dict "to" $policy.postgresql "ports" $policy.postgresqlPorts) -}}
{{- end -}}
{{- if and .service.bus (not .root.Values.nats.enabled) -}}
{{- $_ := set $found "nats" (dict "to" $policy.nats "ports" $policy.natsPorts) -}}
{{- end -}}
{{- $endpoint := include "holdfast.collector" .root -}}
{{- if and $endpoint (not .root.Values.jaeger.enabled) -}}
{{- $port := regexFind ":[0-9]+" (trimPrefix "http:" (trimPrefix "https:" $endpoint)) | trimPrefix ":" | default (ternary "443" "80" (hasPrefix "https:" $endpoint)) -}}
{{- $_ := set $found "collector" (dict "to" $policy.collector "ports" (list (atoi $port))) -}}
{{- end -}}
{{- $found | toJson -}}
{{- end -}}

{{/* Where traces go: the chart's own Jaeger, or the configured collector; empty: nowhere. */}}
{{- define "holdfast.collector" -}}
{{- if .Values.jaeger.enabled -}}
http://{{ include "holdfast.fullname" . }}-jaeger:4318
{{- else -}}
{{- dig "telemetry" "otlp_endpoint" "" .Values.config -}}
{{- end -}}
{{- end -}}
