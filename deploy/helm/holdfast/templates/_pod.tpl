{{/* What every pod of this chart obeys: the restricted Pod Security standard. (dict "root" . "user" 10001) */}}
{{- define "holdfast.podSecurity" -}}
runAsNonRoot: true
runAsUser: {{ .user }}
runAsGroup: {{ .user }}
fsGroup: {{ .user }}
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{/* (dict "writable" true) for the development image, whose sources are synced into it. */}}
{{- define "holdfast.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: {{ not .writable }}
capabilities: {drop: [ALL]}
{{- end -}}

{{/* The nodes that a pod may run on, and how they get its images. (dict "root" . "component" "gate") */}}
{{- define "holdfast.nodes" -}}
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.pod.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- if or (eq .component "execution") .root.Values.pod.tolerations }}
tolerations:
  {{- if eq .component "execution" }}
  # A lost node is noticed in 10 s, not in 5 minutes; the lease has fenced its pod long before.
  {{- range list "not-ready" "unreachable" }}
  - {key: node.kubernetes.io/{{ . }}, operator: Exists, effect: NoExecute, tolerationSeconds: 10}
  {{- end }}
  {{- end }}
  {{- with .root.Values.pod.tolerations }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}
{{- end -}}

{{/* The same for what runs all the time, spread over them. (dict "root" . "component" "gate") */}}
{{- define "holdfast.placement" -}}
{{- include "holdfast.nodes" . }}
{{- with .root.Values.pod.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
topologySpreadConstraints:
  {{- range list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
  - maxSkew: 1
    topologyKey: {{ . }}
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "holdfast.selector" $ | nindent 8 }}
  {{- end }}
{{- end -}}

{{/* The pod of one service: (dict "root" . "component" "gate" "service" <its row of the topology>) */}}
{{- define "holdfast.pod" -}}
{{- $root := .root -}}
{{- $name := .component -}}
{{- $values := get $root.Values.services $name -}}
{{- $ports := (include "holdfast.topology" $root | fromJson).ports -}}
metadata:
  labels:
    {{- include "holdfast.podLabels" . | nindent 4 }}
    {{- with $root.Values.pod.labels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  annotations:
    # A change of the configuration rolls the pods; secrets and certificates are read again without that.
    checksum/configuration: {{ include "holdfast.configuration" $root | sha256sum }}
    {{- with $root.Values.pod.annotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  serviceAccountName: {{ include "holdfast.fullname" $root }}-{{ $name }}
  automountServiceAccountToken: false
  enableServiceLinks: false
  shareProcessNamespace: {{ $root.Values.pod.shareProcessNamespace }}
  terminationGracePeriodSeconds: {{ $root.Values.pod.terminationGracePeriodSeconds }}
  securityContext:
    {{- include "holdfast.podSecurity" (dict "user" 10001) | nindent 4 }}
  {{- include "holdfast.placement" . | nindent 2 }}
  {{- if eq $name "execution" }}
  initContainers:
    - name: migrate
      {{- include "holdfast.container" . | nindent 6 }}
      command: [python, -m, holdfast_execution.adapters.sql.migration_job]
  {{- end }}
  containers:
    - name: {{ $name }}
      {{- include "holdfast.container" . | nindent 6 }}
      ports:
        - {name: grpc, containerPort: {{ $ports.grpc }}}
        - {name: health, containerPort: {{ $ports.health }}}
        - {name: metrics, containerPort: {{ $ports.metrics }}}
        {{- with .service.http }}
        - {name: http, containerPort: {{ . }}}
        {{- end }}
      startupProbe:
        grpc: {port: {{ $ports.health }}, service: liveness}
        periodSeconds: 1
        timeoutSeconds: 2
        failureThreshold: 90
      livenessProbe:
        grpc: {port: {{ $ports.health }}, service: liveness}
        periodSeconds: 5
        timeoutSeconds: 3
        failureThreshold: 3
        # A process that makes no progress takes no farewell either.
        terminationGracePeriodSeconds: 5
      readinessProbe:
        grpc: {port: {{ $ports.health }}, service: readiness}
        periodSeconds: 2
        timeoutSeconds: 2
        failureThreshold: 2
      lifecycle:
        preStop:
          sleep: {seconds: {{ $root.Values.pod.preStopSleepSeconds }}}
  volumes:
    - name: configuration
      configMap:
        name: {{ include "holdfast.fullname" $root }}-configuration
    - name: certificates
      {{- include "holdfast.certificateVolume" . | nindent 6 }}
    - name: secrets
      projected:
        defaultMode: 0440
        sources:
          {{- if .service.broker }}
          - secret:
              name: {{ include "holdfast.brokerSecret" $root }}
              items:
                - {key: ALPACA_API_KEY, path: ALPACA_API_KEY}
                - {key: ALPACA_SECRET_KEY, path: ALPACA_SECRET_KEY}
          {{- end }}
          {{- if eq $name "admin" }}
          - secret:
              name: {{ include "holdfast.adminSecret" $root }}
              items:
                - {key: ADMIN_TOKEN, path: ADMIN_TOKEN}
          {{- end }}
          {{- if and .service.ledger (not $root.Values.postgresql.enabled) }}
          # Whole: what LEDGER_URL names beside it (sslrootcert=/etc/holdfast/secrets/ca.crt) is there too.
          - secret:
              name: {{ eq $name "admin" | ternary $root.Values.postgresql.adminExistingSecret "" | default $root.Values.postgresql.existingSecret }}
          {{- end }}
    {{- if eq $name "admin" }}
    # For the drift check alone: its Role is in release-expected.yaml.
    - name: cluster
      projected:
        defaultMode: 0440
        sources:
          - serviceAccountToken: {path: token, expirationSeconds: 3600}
          - configMap: {name: kube-root-ca.crt, items: [{key: ca.crt, path: ca.crt}]}
          - downwardAPI: {items: [{path: namespace, fieldRef: {fieldPath: metadata.namespace}}]}
    {{- end }}
    - name: state
      {{- if .service.volume }}
      persistentVolumeClaim:
        claimName: {{ include "holdfast.fullname" $root }}-{{ $name }}
      {{- else }}
      emptyDir: {sizeLimit: 1Gi}
      {{- end }}
    - name: tmp
      emptyDir: {sizeLimit: 256Mi}
{{- end -}}

{{/* The certificate of one component, under the names that the services read: (dict "root" . "component" "gate") */}}
{{- define "holdfast.certificateVolume" -}}
secret:
  secretName: {{ include "holdfast.fullname" .root }}-certificate-{{ .component }}
  defaultMode: 0440
  # A pod waits here until its certificate is made.
  items:
    - {key: ca.crt, path: ca.crt}
    - {key: tls.crt, path: {{ .component }}.crt}
    - {key: tls.key, path: {{ .component }}.key}
{{- end -}}

{{/* What all containers of a service's pod have in common. */}}
{{- define "holdfast.container" -}}
{{- $root := .root -}}
{{- $name := .component -}}
image: {{ include "holdfast.image" (dict "root" $root "service" $name) }}
imagePullPolicy: {{ $root.Values.image.pullPolicy }}
securityContext:
  {{- include "holdfast.containerSecurity" (dict "writable" $root.Values.image.development) | nindent 2 }}
resources:
  {{- toYaml (get $root.Values.services $name).resources | nindent 2 }}
env:
  - {name: HOLDFAST_CONFIG, value: /etc/holdfast/holdfast.yaml}
  - {name: HOLDFAST_CERTIFICATES, value: /etc/holdfast/certificates}
  - {name: HOLDFAST_SECRETS_DIR, value: /etc/holdfast/secrets}
  - {name: HOLDFAST_RUN_ID, value: {{ $root.Values.run | quote }}}
  - {name: HOLDFAST_LIVE, value: {{ ternary "1" "0" (dig "account" "live" false $root.Values.config) | quote }}}
  - name: HOLDFAST_POD
    valueFrom: {fieldRef: {fieldPath: metadata.name}}
  - name: HOLDFAST_NAMESPACE
    valueFrom: {fieldRef: {fieldPath: metadata.namespace}}
  {{- if eq $name "admin" }}
  - {name: HOLDFAST_RELEASE_EXPECTED, value: {{ include "holdfast.fullname" $root }}-admin-release-expected}
  {{- end }}
  {{- if and .service.ledger $root.Values.postgresql.enabled }}
  # No password: the service's certificate logs it in.
  - name: HOLDFAST__EXECUTION__LEDGER_URL
    value: {{ include "holdfast.ledgerUrl" . | quote }}
  {{- end }}
volumeMounts:
  - {name: configuration, mountPath: /etc/holdfast/holdfast.yaml, subPath: holdfast.yaml, readOnly: true}
  - {name: certificates, mountPath: /etc/holdfast/certificates, readOnly: true}
  - {name: secrets, mountPath: /etc/holdfast/secrets, readOnly: true}
  - {name: state, mountPath: /var/lib/holdfast}
  - {name: tmp, mountPath: /tmp}
  {{- if eq $name "admin" }}
  - {name: cluster, mountPath: /var/run/secrets/kubernetes.io/serviceaccount, readOnly: true}
  {{- end }}
{{- end -}}

{{- define "holdfast.ledgerUrl" -}}
{{- $folder := "/etc/holdfast/certificates" -}}
postgresql://{{ .component }}@{{ include "holdfast.fullname" .root }}-postgresql:5432/holdfast?sslmode=verify-full&sslrootcert={{ $folder }}/ca.crt&sslcert={{ $folder }}/{{ .component }}.crt&sslkey={{ $folder }}/{{ .component }}.key
{{- end -}}
