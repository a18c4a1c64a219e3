{{- define "redstart.name" -}}
{{- .Values.nameOverride | default .Chart.Name | trunc 50 | trimSuffix "-" }}
{{- end }}

{{- define "redstart.fullname" -}}
{{- $name := include "redstart.name" . -}}
{{- .Values.fullnameOverride | default (ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name)) | trunc 50 | trimSuffix "-" }}
{{- end }}

{{- define "redstart.serviceAccount" -}}
{{- .Values.serviceAccount.name | default (include "redstart.fullname" .) }}
{{- end }}

{{- define "redstart.selector" -}}
app.kubernetes.io/name: {{ include "redstart.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: operator
{{- end }}

{{- define "redstart.labels" -}}
{{ include "redstart.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- /* The full name of an image: its digest if there is one, else its tag, else the chart's appVersion. */ -}}
{{- define "redstart.image" -}}
{{- with .image -}}
{{ .repository }}{{ if .digest }}@{{ .digest }}{{ else }}:{{ .tag | default $.version }}{{ end }}
{{- end }}
{{- end }}

{{- /* What the operator may do in the namespaces that it works in; docs/install.md says why for each verb. */ -}}
{{- define "redstart.rules" -}}
- apiGroups: [redstart.dev]
  resources: [trainingjobs, modelversions, inferenceservices]
  verbs: [get, list, watch]
- apiGroups: [redstart.dev]
  resources: [trainingjobs/status, modelversions/status, inferenceservices/status]
  verbs: [patch]
- apiGroups: [redstart.dev]
  resources: [trainingjobs/finalizers, modelversions/finalizers, inferenceservices/finalizers]
  verbs: [update]
- apiGroups: [redstart.dev]
  resources: [modelversions]
  verbs: [create, patch]
- apiGroups: [batch]
  resources: [jobs]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [apps]
  resources: [deployments]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [services, configmaps]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [networking.k8s.io]
  resources: [networkpolicies]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [pods]
  verbs: [get, list, watch, patch]
- apiGroups: [""]
  resources: [pods/log]
  verbs: [get]
- apiGroups: [""]
  resources: [persistentvolumeclaims]
  verbs: [get, list, watch]
- apiGroups: [""]
  resources: [events]
  verbs: [get, list, create, patch]
{{- end }}

{{- /* A duration such as 1h30m in milliseconds. */ -}}
{{- define "redstart.milliseconds" -}}
{{- $sum := 0 -}}
{{- range regexFindAll "[0-9]+(ms|h|m|s)" . -1 -}}
{{- $unit := regexFind "[a-z]+" . -}}
{{- $sum = add $sum (mul (trimSuffix $unit . | atoi) (get (dict "ms" 1 "s" 1000 "m" 60000 "h" 3600000) $unit)) -}}
{{- end -}}
{{- $sum -}}
{{- end }}

{{- /* What values.schema.json cannot say; the operator would refuse the same in its settings file. */ -}}
{{- define "redstart.refuse" -}}
{{- if and (gt (int .Values.replicas) 1) (not .Values.settings.leaderElection.enabled) }}
{{- fail "replicas: two operators need settings.leaderElection.enabled=true, or both would work at once" }}
{{- end }}
{{- if eq (int .Values.settings.metricsPort) (int .Values.settings.healthPort) }}
{{- fail "settings.metricsPort and settings.healthPort must differ" }}
{{- end }}
{{- range $label, $_ := .Values.settings.pods.labels }}
{{- if or (hasPrefix "redstart.dev/" $label) (hasPrefix "app.kubernetes.io/" $label) }}
{{- fail (printf "settings.pods.labels: %s is set by the operator; use another prefix" $label) }}
{{- end }}
{{- end }}
{{- $durations := dict
  "resyncInterval" .Values.settings.resyncInterval
  "rollout.scrapeInterval" .Values.settings.rollout.scrapeInterval
  "serving.drain" .Values.settings.serving.drain
  "leaderElection.leaseDuration" .Values.settings.leaderElection.leaseDuration
  "leaderElection.renewDeadline" .Values.settings.leaderElection.renewDeadline
  "leaderElection.retryPeriod" .Values.settings.leaderElection.retryPeriod }}
{{- range $name, $duration := $durations }}
{{- if eq (include "redstart.milliseconds" $duration) "0" }}
{{- fail (printf "settings.%s: %s must be more than zero" $name $duration) }}
{{- end }}
{{- end }}
{{- with .Values.settings.serving.drain }}
{{- if gt (include "redstart.milliseconds" . | int64) 600000 }}
{{- fail (printf "settings.serving.drain: %s must be at most 10m" .) }}
{{- end }}
{{- end }}
{{- with .Values.settings.leaderElection }}
{{- $lease := include "redstart.milliseconds" .leaseDuration | int64 }}
{{- $renew := include "redstart.milliseconds" .renewDeadline | int64 }}
{{- if not (gt $lease $renew) }}
{{- fail (printf "settings.leaderElection.renewDeadline: %s must be shorter than leaseDuration, %s" .renewDeadline .leaseDuration) }}
{{- end }}
{{- if not (gt $renew (include "redstart.milliseconds" .retryPeriod | int64)) }}
{{- fail (printf "settings.leaderElection.retryPeriod: %s must be shorter than renewDeadline, %s" .retryPeriod .renewDeadline) }}
{{- end }}
{{- if mod $lease 1000 }}
{{- fail (printf "settings.leaderElection.leaseDuration: %s must be whole seconds, as a Lease holds them" .leaseDuration) }}
{{- end }}
{{- end }}
{{- if not (or .Values.serviceAccount.create .Values.serviceAccount.name) }}
{{- fail "serviceAccount.name: name the ServiceAccount that exists, or set serviceAccount.create=true" }}
{{- end }}
{{- end }}
