{{/* The `holdfast` command under the operator's identity. Its user adds what differs: command, resources. */}}
{{- define "holdfast.operatorContainer" -}}
image: {{ include "holdfast.image" (dict "root" . "service" "cli") }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  {{- include "holdfast.containerSecurity" dict | nindent 2 }}
env:
  - {name: HOLDFAST_CONFIG, value: /etc/holdfast/holdfast.yaml}
  - {name: HOLDFAST_CERTIFICATES, value: /etc/holdfast/certificates}
  - {name: HOLDFAST_SECRETS_DIR, value: /etc/holdfast/secrets}
volumeMounts:
  - {name: configuration, mountPath: /etc/holdfast/holdfast.yaml, subPath: holdfast.yaml, readOnly: true}
  - {name: certificates, mountPath: /etc/holdfast/certificates, readOnly: true}
  - {name: state, mountPath: /var/lib/holdfast}
  - {name: tmp, mountPath: /tmp}
{{- end -}}

{{- define "holdfast.operatorVolumes" -}}
- name: configuration
  configMap: {name: {{ include "holdfast.fullname" . }}-configuration}
- name: certificates
  {{- include "holdfast.certificateVolume" (dict "root" . "component" "operator") | nindent 2 }}
- name: state
  emptyDir: {sizeLimit: 64Mi}
- name: tmp
  emptyDir: {sizeLimit: 64Mi}
{{- end -}}
