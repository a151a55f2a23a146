{{/* What a workload's manifest says, as holdfast_admin.domain.drift has it: (dict "root" . "spec" <its spec>), as JSON.
A variable's value is told by its sum, its source as it stands: whatever a value holds, nobody reads it here. Whoever
develops changes images and commands all the time. */}}
{{- define "holdfast.expectedWorkload" -}}
{{- $pod := .spec.template.spec -}}
{{- $images := list -}}
{{- range $pod.containers }}{{ $images = append $images .image }}{{ end -}}
{{- $variables := dict -}}
{{- $containers := dict -}}
{{- range concat ($pod.initContainers | default list) $pod.containers -}}
{{- $own := dict -}}
{{- range .env }}{{ $_ := set $own .name (.valueFrom | default (.value | default "" | sha256sum)) }}{{ end -}}
{{- $_ := set $variables .name $own -}}
{{- $_ := set $containers .name (pick . "command" "args" "ports" "volumeMounts" "securityContext" "startupProbe" "livenessProbe" "readinessProbe" "lifecycle" "resources") -}}
{{- end -}}
{{- $said := dict
  "replicas" .spec.replicas
  "images" (ternary nil $images .root.Values.image.development)
  "annotations" (.spec.template.metadata.annotations | default dict)
  "variables" $variables -}}
{{- if not .root.Values.image.development -}}
{{- $_ := set $said "containers" $containers -}}
{{- $_ := set $said "pod" (pick $pod "serviceAccountName" "securityContext" "volumes" "shareProcessNamespace" "hostNetwork" "hostPID" "hostIPC" "nodeSelector" "affinity" "tolerations" "topologySpreadConstraints" "priorityClassName") -}}
{{- end -}}
{{- $said | toJson -}}
{{- end -}}
