{{/* Every certificate of this release, each with the host names it answers under beside its own: {"nats": [...]}. */}}
{{- define "holdfast.certificates" -}}
{{- $fullname := include "holdfast.fullname" . -}}
{{- $found := dict "operator" list -}}
{{- range $name, $_ := (include "holdfast.topology" . | fromJson).services }}{{ $_ := set $found $name list }}{{ end -}}
{{- if .Values.nats.enabled -}}
{{- $host := printf "%s-nats" $fullname -}}
{{- $_ := set $found "nats" (list $host (printf "*.%s" $host)) -}}
{{- end -}}
{{- if .Values.postgresql.enabled }}{{ $_ := set $found "postgresql" (list (printf "%s-postgresql" $fullname)) }}{{ end -}}
{{- $found | toJson -}}
{{- end -}}

{{/* What the chart makes by itself. */}}
{{- define "holdfast.provisionPlan" -}}
{{- $certificates := dict -}}
{{- if eq .Values.certificates.source "chart" }}{{ $certificates = include "holdfast.certificates" . | fromJson }}{{ end -}}
{{- $random := dict -}}
{{- if not .Values.secrets.broker.existingSecret }}{{ $_ := set $random (include "holdfast.brokerSecret" .) (list "ALPACA_API_KEY" "ALPACA_SECRET_KEY") }}{{ end -}}
{{- if not .Values.secrets.admin.existingSecret }}{{ $_ := set $random (include "holdfast.adminSecret" .) (list "ADMIN_TOKEN") }}{{ end -}}
{{- dict "prefix" (include "holdfast.fullname" .) "certificates" $certificates "random" $random | toJson -}}
{{- end -}}

{{- define "holdfast.provisionJob" -}}
backoffLimit: 6
template:
  metadata:
    labels:
      {{- include "holdfast.podLabels" (dict "root" . "component" "provision") | nindent 6 }}
  spec:
    serviceAccountName: {{ include "holdfast.fullname" . }}-provision
    # The one pod that talks to the cluster: it fills the Secrets that its Role names.
    automountServiceAccountToken: true
    enableServiceLinks: false
    restartPolicy: OnFailure
    securityContext:
      {{- include "holdfast.podSecurity" (dict "user" 10001) | nindent 6 }}
    {{- with .Values.image.pullSecrets }}
    imagePullSecrets:
      {{- toYaml . | nindent 6 }}
    {{- end }}
    containers:
      - name: provision
        image: {{ include "holdfast.image" (dict "root" . "service" "cli") }}
        imagePullPolicy: {{ .Values.image.pullPolicy }}
        command: [python, /etc/holdfast/provision.py, {{ include "holdfast.provisionPlan" . | squote }}]
        securityContext:
          {{- include "holdfast.containerSecurity" . | nindent 10 }}
        resources: {requests: {cpu: 50m, memory: 96Mi}, limits: {memory: 256Mi}}
        env:
          - name: HOLDFAST_NAMESPACE
            valueFrom: {fieldRef: {fieldPath: metadata.namespace}}
        volumeMounts:
          - {name: program, mountPath: /etc/holdfast, readOnly: true}
          - {name: tmp, mountPath: /tmp}
    volumes:
      - name: program
        configMap: {name: {{ include "holdfast.fullname" . }}-provision}
      - name: tmp
        emptyDir: {sizeLimit: 16Mi}
{{- end -}}
