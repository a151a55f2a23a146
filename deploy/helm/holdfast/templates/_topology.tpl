{{/* The services that this release has, each with the calls that it makes: files/topology.yaml without what is switched
off. JSON, because a template can hand on nothing else. */}}
{{- define "holdfast.topology" -}}
{{- $found := .Files.Get "files/topology.yaml" | fromYaml -}}
{{- $absent := list -}}
{{- range list "nats" "postgresql" "jaeger" }}{{ if not (get $.Values .).enabled }}{{ $absent = append $absent . }}{{ end }}{{ end -}}
{{- if not (include "holdfast.paper" .) }}{{ $absent = append $absent "papermarket" }}{{ end -}}
{{- range $group := list $found.services $found.others -}}
{{- range $absent }}{{ $_ := unset $group . }}{{ end -}}
{{- range $name, $row := $group -}}
{{- range $absent }}{{ $_ := unset $row.calls . }}{{ end -}}
{{- end -}}
{{- end -}}
{{- $found | toJson -}}
{{- end -}}

{{/* "true" where orders go to papermarket, else empty. */}}
{{- define "holdfast.paper" -}}
{{- if eq (dig "venue" "kind" "papermarket" .Values.config) "papermarket" }}true{{ end -}}
{{- end -}}

{{/* The configuration file: `config` of the values, and what the chart knows. */}}
{{- define "holdfast.configuration" -}}
{{- $fullname := include "holdfast.fullname" . -}}
{{- $topology := include "holdfast.topology" . | fromJson -}}
{{- $ports := $topology.ports -}}
{{- $endpoints := dict -}}
{{- $listen := dict -}}
{{- range $name, $service := $topology.services -}}
{{- range $suffix, $port := dict "" "grpc" ".health" "health" ".metrics" "metrics" -}}
{{- $key := printf "%s%s" $name $suffix -}}
{{- $_ := set $endpoints $key (printf "%s-%s:%v" $fullname $name (get $ports $port)) -}}
{{- $_ := set $listen $key (printf "0.0.0.0:%v" (get $ports $port)) -}}
{{- end -}}
{{- end -}}
{{- $own := dict "state_dir" "/var/lib/holdfast" -}}
{{- if include "holdfast.paper" . -}}
{{- $http := printf "%s-papermarket:%v" $fullname $topology.services.papermarket.http -}}
{{- $_ := set $endpoints "papermarket.http" $http -}}
{{- $_ := set $listen "papermarket.http" (printf "0.0.0.0:%v" $topology.services.papermarket.http) -}}
{{- $_ := set $own "venue" (dict
  "trading_url" (printf "http://%s" $http)
  "trading_stream_url" (printf "ws://%s/stream" $http)
  "data_url" (printf "http://%s" $http)
  "data_stream_url" (printf "ws://%s/v2/iex" $http)
  "crypto_stream_url" (printf "ws://%s/v1beta3/crypto/us" $http)) -}}
{{- end -}}
{{- $_ := set $own "endpoints" $endpoints -}}
{{- $_ := set $own "listen" $listen -}}
{{- $_ := set $own "admin" (dict "host" "0.0.0.0" "port" $topology.services.admin.http) -}}
{{- $bus := .Values.nats.url -}}
{{- if .Values.nats.enabled -}}
{{- $servers := list -}}
{{- range include "holdfast.natsHosts" . | fromJsonArray }}{{ $servers = append $servers (printf "tls://%s:%v" . $ports.client) }}{{ end -}}
{{- $bus = join "," $servers -}}
{{- end -}}
{{- $_ := set $own "bus" (dict "url" $bus) -}}
{{- if not .Values.postgresql.enabled }}{{ $_ := set $own "execution" (dict "ledger_url" "secret") }}{{ end -}}
{{- with include "holdfast.collector" . }}{{ $_ := set $own "telemetry" (dict "otlp_endpoint" .) }}{{ end -}}
{{- if .Values.monitoring.enabled }}{{ $_ := set $own "alerts" (dict "rules" true) }}{{ end -}}
{{- mergeOverwrite (deepCopy .Values.config) $own | toYaml -}}
{{- end -}}
