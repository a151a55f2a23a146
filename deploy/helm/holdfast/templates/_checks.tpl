{{/* Combinations of values that cannot work, each refused with one sentence that says what to change. */}}
{{- define "holdfast.refuse" -}}
{{- fail (printf "\n\nholdfast: %s\n" .) -}}
{{- end -}}

{{- define "holdfast.checks" -}}
{{- $v := .Values -}}
{{- $config := $v.config -}}
{{- $paper := include "holdfast.paper" . -}}
{{- $live := dig "account" "live" false $config -}}
{{- range list "endpoints" "listen" "state_dir" "admin" -}}
{{- if hasKey $config . }}{{ include "holdfast.refuse" (printf "config.%s is the chart's own: leave it out." .) }}{{ end -}}
{{- end -}}
{{- if dig "bus" "url" "" $config }}{{ include "holdfast.refuse" "config.bus.url is the chart's own: another NATS stands in nats.url." }}{{ end -}}
{{- if dig "execution" "ledger_url" "" $config }}{{ include "holdfast.refuse" "config.execution.ledger_url is the chart's own: another PostgreSQL stands as LEDGER_URL in the Secret that postgresql.existingSecret names." }}{{ end -}}

{{- range $name, $service := $v.services -}}
{{- if and (ne $name "scoring") (dig "keda" "enabled" false $service) -}}
{{- include "holdfast.refuse" (printf "services.%s.keda: only scoring is scaled by the lag of its stream; execution has one writer an account, and signal reads no stream." $name) -}}
{{- end -}}
{{- end -}}
{{- if gt (int $v.services.signal.replicas) 1 }}{{ include "holdfast.refuse" "services.signal.replicas must be 1: an account has one market-data connection, and strategies are not partitioned." }}{{ end -}}
{{- if gt (int $v.services.reconciliation.replicas) 1 }}{{ include "holdfast.refuse" "services.reconciliation.replicas must be 1: it has a fixed share of the broker's rate limit." }}{{ end -}}
{{- range list "admin" "papermarket" -}}
{{- if gt (int (get $v.services .).replicas) 1 }}{{ include "holdfast.refuse" (printf "services.%s.replicas must be 1: its volume is mounted by one pod." .) }}{{ end -}}
{{- end -}}
{{- if dig "keda" "enabled" false $v.services.scoring -}}
{{- if not $v.nats.enabled }}{{ include "holdfast.refuse" "services.scoring.keda needs nats.enabled: it asks the chart's own NATS for the lag." }}{{ end -}}
{{- if gt (int $v.services.scoring.replicas) (int $v.services.scoring.keda.maxReplicas) }}{{ include "holdfast.refuse" (printf "services.scoring.replicas is %v, but keda.maxReplicas is %v: KEDA scales from the one to the other." $v.services.scoring.replicas $v.services.scoring.keda.maxReplicas) }}{{ end -}}
{{- if gt (int $v.services.scoring.keda.maxReplicas) (len $config.strategies) }}{{ include "holdfast.refuse" (printf "services.scoring.keda.maxReplicas is %v, but there are %v strategies: cycles of one strategy are scored by one pod." $v.services.scoring.keda.maxReplicas (len $config.strategies)) }}{{ end -}}
{{- end -}}

{{- if $live -}}
{{- $sentence := printf "%s trades real money" (dig "account" "id" "paper" $config) -}}
{{- if $paper }}{{ include "holdfast.refuse" "config.account.live is true, but config.venue.kind is papermarket: a recording has no live account." }}{{ end -}}
{{- if ne $v.live.acknowledgement $sentence }}{{ include "holdfast.refuse" (printf "config.account.live is true: say so a second time with live.acknowledgement: %q." $sentence) }}{{ end -}}
{{- if $v.postgresql.enabled }}{{ include "holdfast.refuse" "a live account needs a PostgreSQL with a synchronous replica (postgresql.enabled: false and postgresql.existingSecret): a lost commit is a second order." }}{{ end -}}
{{- if $v.image.development }}{{ include "holdfast.refuse" "image.development is for a developer's cluster, whose sources anybody may change: never with a live account." }}{{ end -}}
{{- if $v.pod.shareProcessNamespace }}{{ include "holdfast.refuse" "pod.shareProcessNamespace is for drills: never with a live account." }}{{ end -}}
{{- else if $v.live.acknowledgement -}}
{{- include "holdfast.refuse" "live.acknowledgement is given, but config.account.live is not true: give both or none." -}}
{{- end -}}
{{- if and (not $paper) (not $v.secrets.broker.existingSecret) -}}
{{- include "holdfast.refuse" "config.venue.kind is alpaca: secrets.broker.existingSecret must name a Secret with ALPACA_API_KEY and ALPACA_SECRET_KEY." -}}
{{- end -}}

{{- if and $v.postgresql.enabled $v.postgresql.existingSecret }}{{ include "holdfast.refuse" "postgresql.existingSecret is given, but postgresql.enabled is true: one of the two is the ledger." }}{{ end -}}
{{- if and (not $v.postgresql.enabled) (not $v.postgresql.existingSecret) }}{{ include "holdfast.refuse" "postgresql.enabled is false: postgresql.existingSecret must name a Secret with LEDGER_URL." }}{{ end -}}
{{- if and $v.postgresql.enabled $v.postgresql.discard }}{{ include "holdfast.refuse" "postgresql.discard is true, but postgresql.enabled is true: what holds the ledger cannot be discarded. Leave discard out, or move the ledger (docs/backup.md)." }}{{ end -}}
{{- $server := printf "%s-postgresql" (include "holdfast.fullname" .) -}}
{{- if and (not $v.postgresql.enabled) (not $v.postgresql.discard) (lookup "apps/v1" "StatefulSet" .Release.Namespace $server) }}{{ include "holdfast.refuse" (printf "postgresql.enabled is false, but StatefulSet %s holds this release's ledger, and its volume would go with it: dump it first (docs/backup.md), then say postgresql.discard: true." $server) }}{{ end -}}
{{- if and $v.nats.enabled $v.nats.url }}{{ include "holdfast.refuse" "nats.url is given, but nats.enabled is true: one of the two is the bus." }}{{ end -}}
{{- if and (not $v.nats.enabled) (not $v.nats.url) }}{{ include "holdfast.refuse" "nats.enabled is false: nats.url must name another NATS." }}{{ end -}}
{{- range splitList "," $v.nats.url -}}
{{- if and . (not (hasPrefix "tls://" .)) }}{{ include "holdfast.refuse" "nats.url must be tls://…: on a bus in plain text anybody could order." }}{{ end -}}
{{- end -}}
{{- $copies := int (dig "bus" "replicas" 1 $config) -}}
{{- if and $v.nats.enabled (gt $copies (int $v.nats.servers)) }}{{ include "holdfast.refuse" (printf "config.bus.replicas is %d, but nats.servers is %v: every copy needs a server of its own." $copies $v.nats.servers) }}{{ end -}}

{{- if and (eq $v.certificates.source "certManager") (not $v.certificates.certManager.issuerRef.name) }}{{ include "holdfast.refuse" "certificates.source is certManager: certificates.certManager.issuerRef.name must name an issuer." }}{{ end -}}
{{- if and $v.jaeger.enabled (dig "telemetry" "otlp_endpoint" "" $config) }}{{ include "holdfast.refuse" "config.telemetry.otlp_endpoint is given, but jaeger.enabled is true: traces go to one of the two." }}{{ end -}}
{{- if and $v.externalSecrets.secrets (not $v.externalSecrets.store.name) }}{{ include "holdfast.refuse" "externalSecrets.secrets is given: externalSecrets.store.name must name the store." }}{{ end -}}
{{- if lt (int $v.pod.terminationGracePeriodSeconds) (add (int $v.pod.preStopSleepSeconds) 15 | int) }}{{ include "holdfast.refuse" "pod.terminationGracePeriodSeconds must be 15 above pod.preStopSleepSeconds: sends in flight end first, then the lease is given up." }}{{ end -}}
{{- end -}}
