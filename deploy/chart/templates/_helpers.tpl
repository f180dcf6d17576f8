{{/* Labels of an object. Takes a dict: root, component (may be absent). */}}
{{- define "gracewatch.labels" -}}
app.kubernetes.io/name: gracewatch
{{- with .component }}
app.kubernetes.io/component: {{ . }}
{{- end }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name (.root.Chart.Version | replace "+" "_") }}
{{- with .root.Values.extraLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Labels by which the pods of a component are selected. They never change. */}}
{{- define "gracewatch.selector" -}}
{app.kubernetes.io/name: gracewatch, app.kubernetes.io/component: {{ . }}}
{{- end }}

{{/* Labels of the pods of a component. Takes a dict: root, component, labels. */}}
{{- define "gracewatch.podLabels" -}}
app.kubernetes.io/name: gracewatch
app.kubernetes.io/component: {{ .component }}
{{- with merge (dict) (.labels | default dict) (.root.Values.extraLabels | default dict) }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "gracewatch.image" -}}
{{- with .Values.image -}}
{{- .repository }}:{{ .tag | default $.Chart.AppVersion }}{{ with .digest }}@{{ . }}{{ end }}
{{- end }}
{{- end }}

{{- define "gracewatch.imagePullSecrets" -}}
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* Settings as environment variables. Takes a dict: prefix, values by the rest of their names in camel case. */}}
{{- define "gracewatch.env" -}}
{{- range $name, $value := .values }}
{{- if kindIs "slice" $value }}
{{- $value = join "," $value }}
{{- else if kindIs "float64" $value }}
{{- /* As a float, a million would be written as 1e+06. */}}
{{- $value = int64 $value }}
{{- end }}
{{- if not (kindIs "invalid" $value) }}
- {name: GRACEWATCH_{{ $.prefix }}{{ $name | snakecase | upper }}, value: {{ $value | quote }}}
{{- end }}
{{- end }}
{{- end }}

{{/* What PodSecurity restricted asks of a pod, and of a container. */}}
{{- define "gracewatch.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
seccompProfile: {type: RuntimeDefault}
{{- end }}
{{- define "gracewatch.containerSecurityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{/* Whether the policy that injects gates is there: "true", or nothing. */}}
{{- define "gracewatch.injection" -}}
{{- with .Values.gates }}
{{- /* By the version, not by Capabilities.APIVersions: that knows kinds only where there is a cluster to ask. */}}
{{- $served := semverCompare ">=1.36.0-0" $.Capabilities.KubeVersion.Version }}
{{- if and .enabled (or (eq .injection "Enabled") (and (eq .injection "Auto") $served)) }}true{{ end }}
{{- end }}
{{- end }}

{{/* What goes out of every pod. */}}
{{- define "gracewatch.egress" -}}
# The API server, whose address is no pod's.
- ports:
    {{- range .Values.networkPolicy.apiServerPorts }}
    - {port: {{ int . }}, protocol: TCP}
    {{- end }}
# Some clusters name it to their pods by a host name.
- ports:
    - {port: 53, protocol: UDP}
    - {port: 53, protocol: TCP}
{{- end }}

{{/* Annotations of what runs at certain events in the life of the release. Takes a dict: events, weight. */}}
{{- define "gracewatch.hook" -}}
helm.sh/hook: {{ .events }}
helm.sh/hook-weight: {{ .weight | quote }}
helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
{{- end }}

{{/*
Events after which gates are switched off and may still have finalizers; nothing while they are on. A rollback comes with what was rendered
for the revision that it goes back to, when nobody could know; an upgrade asks the cluster, and costs no Job where there was never a gate.
*/}}
{{- define "gracewatch.gatesOff" -}}
{{- if not .Values.gates.enabled -}}
{{- $held := dict }}
{{- if .Release.IsUpgrade }}
{{- with lookup "rbac.authorization.k8s.io/v1" "ClusterRole" "" "gracewatch-gatekeeper" }}
{{- $_ := set $held "byRights" true }}
{{- end }}
{{- if .Capabilities.APIVersions.Has "gracewatch.dev/v1alpha1/PodReadinessGate" }}
{{- range (lookup "gracewatch.dev/v1alpha1" "PodReadinessGate" "" "").items }}
{{- with .metadata.finalizers }}
{{- $_ := set $held "byFinalizer" true }}
{{- end }}
{{- end }}
{{- end }}
{{- end -}}
post-rollback{{ if $held }},post-upgrade{{ end }}
{{- end }}
{{- end }}

{{/* A Job that runs src/uninstall. Takes a dict: root, name, events, deadline, settings. */}}
{{- define "gracewatch.uninstallJob" -}}
{{- $root := .root -}}
apiVersion: batch/v1
kind: Job
metadata:
  name: {{ .name }}
  namespace: {{ $root.Release.Namespace }}
  labels:
    {{- include "gracewatch.labels" (dict "root" $root "component" "uninstall") | nindent 4 }}
  annotations:
    {{- include "gracewatch.hook" (dict "events" .events "weight" 0) | nindent 4 }}
spec:
  backoffLimit: 3
  # Each step has its own time; this is for a pod that cannot start.
  activeDeadlineSeconds: {{ .deadline }}
  template:
    metadata:
      labels:
        {{- include "gracewatch.podLabels" (dict "root" $root "component" "uninstall" "labels" dict) | nindent 8 }}
    spec:
      {{- with include "gracewatch.imagePullSecrets" $root }}
      {{- . | trim | nindent 6 }}
      {{- end }}
      serviceAccountName: gracewatch-uninstall
      automountServiceAccountToken: true
      enableServiceLinks: false
      restartPolicy: Never
      {{- with $root.Values.nodeSelector }}
      nodeSelector:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with $root.Values.tolerations }}
      tolerations:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      securityContext:
        {{- include "gracewatch.podSecurityContext" $root | nindent 8 }}
      containers:
        - name: uninstall
          image: {{ include "gracewatch.image" $root }}
          imagePullPolicy: {{ $root.Values.image.pullPolicy }}
          command: [node, dist/uninstall/main.js]
          env:
            - name: GRACEWATCH_NAMESPACE
              valueFrom: {fieldRef: {fieldPath: metadata.namespace}}
            {{- include "gracewatch.env" (dict "prefix" "" "values" .settings) | trim | nindent 12 }}
          resources:
            requests: {cpu: 10m, memory: 64Mi}
            limits: {memory: 128Mi}
          securityContext:
            {{- include "gracewatch.containerSecurityContext" $root | nindent 12 }}
{{- end }}

{{/* How Prometheus scrapes, but for whom it trusts. */}}
{{- define "gracewatch.endpoint" -}}
port: metrics
scheme: https
# The label namespace is that of the workload, not of the pod that tells it.
honorLabels: true
# Prometheus' own token: its account needs the ClusterRole gracewatch-metrics-reader (metrics.readers).
bearerTokenFile: /var/run/secrets/kubernetes.io/serviceaccount/token
{{- with .Values.serviceMonitor }}
{{- with .interval }}
interval: {{ . }}
{{- end }}
relabelings:
  - {sourceLabels: [__meta_kubernetes_pod_node_name], targetLabel: node}
  {{- with .relabelings }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with .metricRelabelings }}
metricRelabelings:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
{{- end }}

{{/* Whether the agents serve metrics: "true", or nothing. */}}
{{- define "gracewatch.agentMetrics" -}}
{{- if and .Values.metrics.enabled .Values.agent.enabled .Values.agent.metrics.enabled }}true{{ end }}
{{- end }}

{{/* Who comes in for the metrics. */}}
{{- define "gracewatch.metricsIngress" -}}
- ports:
    - {port: metrics, protocol: TCP}
  {{- with .Values.networkPolicy.metricsFrom }}
  from:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}
