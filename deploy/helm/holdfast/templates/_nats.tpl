{{/* Host names of the chart's own NATS servers. */}}
{{- define "holdfast.natsHosts" -}}
{{- $service := printf "%s-nats" (include "holdfast.fullname" .) -}}
{{- $found := list -}}
{{- range until (int .Values.nats.servers) }}{{ $found = append $found (printf "%s-%d.%s" $service . $service) }}{{ end -}}
{{- $found | toJson -}}
{{- end -}}

{{- define "holdfast.natsTls" -}}
cert_file: /etc/holdfast/certificates/nats.crt
key_file: /etc/holdfast/certificates/nats.key
ca_file: /etc/holdfast/certificates/ca.crt
{{- end -}}

{{- define "holdfast.natsConfiguration" -}}
server_name: $POD
port: 4222
# Health for the kubelet, and lag for KEDA.
http: 8222
jetstream {
  store_dir: /data
  max_memory_store: 64MB
  # What is acknowledged is on the disk.
  sync_interval: always
}
# A certificate is the login: its name is the user, and the user's rights are in the file below.
tls {
  {{- include "holdfast.natsTls" . | nindent 2 }}
  verify_and_map: true
  handshake_first: true
}
{{- if gt (int .Values.nats.servers) 1 }}
cluster {
  name: {{ include "holdfast.fullname" . }}
  port: 6222
  no_advertise: true
  routes: [
    {{- range include "holdfast.natsHosts" . | fromJsonArray }}
    nats-route://{{ . }}:6222
    {{- end }}
  ]
  tls {
    {{- include "holdfast.natsTls" . | nindent 4 }}
    verify: true
    # Only a server's certificate: one of a service has none of these names.
    verify_cert_and_check_known_urls: true
  }
}
{{- end }}
include permissions.conf
{{- end -}}
