{{/* Short enough for the longest that is added to it: a CronJob's name has 52 characters. */}}
{{- define "holdfast.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 31 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 31 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 31 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Labels that select the pods of one component: (dict "root" . "component" "gate") */}}
{{- define "holdfast.selector" -}}
app.kubernetes.io/name: {{ .root.Chart.Name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{/* Labels of pods: nothing that changes with a release, which would restart stores for nothing. */}}
{{- define "holdfast.podLabels" -}}
{{ include "holdfast.selector" . }}
app.kubernetes.io/part-of: holdfast
{{- end -}}

{{- define "holdfast.labels" -}}
{{ include "holdfast.selector" . }}
app.kubernetes.io/version: {{ include "holdfast.tag" .root | trunc 63 | quote }}
app.kubernetes.io/part-of: holdfast
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end -}}

{{/* metadata of one object: (dict "root" . "component" "gate" "name" "") ; name is added to the component's own */}}
{{- define "holdfast.metadata" -}}
name: {{ include "holdfast.fullname" .root }}-{{ .component }}{{ with .name }}-{{ . }}{{ end }}
namespace: {{ .root.Release.Namespace }}
labels:
  {{- include "holdfast.labels" . | nindent 2 }}
{{- end -}}

{{- define "holdfast.tag" -}}
{{- .Values.image.tag | default .Chart.AppVersion -}}
{{- end -}}

{{/* (dict "root" . "service" "gate") */}}
{{- define "holdfast.image" -}}
{{- $image := .root.Values.image -}}
{{- $path := printf "%s/%s" $image.repository .service -}}
{{- with $image.registry }}{{ $path = printf "%s/%s" . $path }}{{ end -}}
{{- $digest := get $image.digests .service -}}
{{- if $digest }}{{ $path }}@{{ $digest }}{{ else }}{{ $path }}:{{ include "holdfast.tag" .root }}{{ end -}}
{{- end -}}

{{- define "holdfast.brokerSecret" -}}
{{- .Values.secrets.broker.existingSecret | default (printf "%s-broker" (include "holdfast.fullname" .)) -}}
{{- end -}}

{{- define "holdfast.adminSecret" -}}
{{- .Values.secrets.admin.existingSecret | default (printf "%s-admin-token" (include "holdfast.fullname" .)) -}}
{{- end -}}
