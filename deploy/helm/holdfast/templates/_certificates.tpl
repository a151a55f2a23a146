{{/* Every identity of this release, each with the host names it answers under beside its own: {"nats": [...]}. */}}
{{- define "holdfast.identities" -}}
{{- $fullname := include "holdfast.fullname" . -}}
{{- $found := dict "operator" list -}}
{{- range $name, $_ := (include "holdfast.topology" . | fromJson).services }}{{ $_ := set $found $name list }}{{ end -}}
{{- if .Values.nats.enabled }}{{ $_ := set $found "nats" (append (include "holdfast.natsHosts" . | fromJsonArray) (printf "%s-nats" $fullname)) }}{{ end -}}
{{- if .Values.postgresql.enabled }}{{ $_ := set $found "postgresql" (list (printf "%s-postgresql" $fullname)) }}{{ end -}}
{{- $found | toJson -}}
{{- end -}}

{{/* What `holdfast certificates` shall make; empty where all is given by others. */}}
{{- define "holdfast.certificatePlan" -}}
{{- $fullname := include "holdfast.fullname" . -}}
{{- $own := eq .Values.certificates.source "chart" -}}
{{- $generated := list -}}
{{- if not .Values.secrets.broker.existingSecret }}{{ $generated = append $generated (dict "secret" (include "holdfast.brokerSecret" .) "keys" (list "ALPACA_API_KEY" "ALPACA_SECRET_KEY")) }}{{ end -}}
{{- if not .Values.secrets.admin.existingSecret }}{{ $generated = append $generated (dict "secret" (include "holdfast.adminSecret" .) "keys" (list "ADMIN_TOKEN")) }}{{ end -}}
{{- if or $own $generated -}}
authority: {secret: {{ $fullname }}-authority, validity_days: {{ .Values.certificates.authorityDays }}}
validity_days: {{ .Values.certificates.days }}
overlap_hours: {{ .Values.certificates.overlapHours }}
certificates:
  {{- if $own }}
  {{- range $name, $hosts := include "holdfast.identities" . | fromJson }}
  - {identity: {{ $name }}, secret: {{ $fullname }}-certificate-{{ $name }}, names: {{ $hosts | toJson }}}
  {{- end }}
  {{- else }} []
  {{- end }}
generated: {{ $generated | toJson }}
{{- end -}}
{{- end -}}

{{/* The job that makes and renews: the one pod that talks to the cluster. */}}
{{- define "holdfast.certificateJob" -}}
backoffLimit: 10
template:
  metadata:
    labels:
      {{- include "holdfast.podLabels" (dict "root" . "component" "certificates") | nindent 6 }}
  spec:
    serviceAccountName: {{ include "holdfast.fullname" . }}-certificates
    automountServiceAccountToken: true
    enableServiceLinks: false
    restartPolicy: OnFailure
    securityContext:
      {{- include "holdfast.podSecurity" (dict "user" 10001) | nindent 6 }}
    {{- include "holdfast.nodes" (dict "root" . "component" "certificates") | nindent 4 }}
    containers:
      - name: certificates
        image: {{ include "holdfast.image" (dict "root" . "service" "cli") }}
        imagePullPolicy: {{ .Values.image.pullPolicy }}
        args: [certificates, --plan, /etc/holdfast/plan.yaml]
        securityContext:
          {{- include "holdfast.containerSecurity" dict | nindent 10 }}
        resources: {requests: {cpu: 50m, memory: 96Mi}, limits: {memory: 256Mi}}
        volumeMounts:
          - {name: plan, mountPath: /etc/holdfast, readOnly: true}
          - {name: tmp, mountPath: /tmp}
    volumes:
      - name: plan
        configMap: {name: {{ include "holdfast.fullname" . }}-certificates}
      - name: tmp
        emptyDir: {sizeLimit: 16Mi}
{{- end -}}

{{/* A store reads its certificate again when it is told to: beside it, in its process namespace, somebody looks. */}}
{{- define "holdfast.reloader" -}}
- name: reload
  image: {{ .root.Values.certificates.reloaderImage }}
  imagePullPolicy: {{ .root.Values.image.pullPolicy }}
  restartPolicy: Always
  command: [sh, /etc/reload/reload.sh, /etc/holdfast/certificates, {{ .process }}]
  securityContext:
    {{- include "holdfast.containerSecurity" dict | nindent 4 }}
  resources: {requests: {cpu: 5m, memory: 16Mi}, limits: {memory: 64Mi}}
  volumeMounts:
    - {name: configuration, mountPath: /etc/reload, readOnly: true}
    - {name: certificates, mountPath: /etc/holdfast/certificates, readOnly: true}
{{- end -}}
