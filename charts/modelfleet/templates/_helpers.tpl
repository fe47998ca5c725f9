{{- define "modelfleet.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 50 | trimSuffix "-" }}
{{- end }}

{{- define "modelfleet.fullname" -}}
{{- $name := include "modelfleet.name" . }}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" }}
{{- else if contains $name .Release.Name }}
{{- .Release.Name | trunc 50 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 50 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "modelfleet.selectorLabels" -}}
app.kubernetes.io/name: {{ include "modelfleet.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: operator
{{- end }}

{{- define "modelfleet.gatewayLabels" -}}
app.kubernetes.io/name: {{ include "modelfleet.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: gateway
{{- end }}

{{- define "modelfleet.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/name: {{ include "modelfleet.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: modelfleet
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "modelfleet.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "modelfleet.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "modelfleet.image" -}}
{{- $image := .Values.image.repository }}
{{- with .Values.image.registry }}
{{- $image = printf "%s/%s" . $image }}
{{- end }}
{{- if .Values.image.digest }}
{{- printf "%s@%s" $image .Values.image.digest }}
{{- else }}
{{- printf "%s:%s" $image (default .Chart.AppVersion .Values.image.tag) }}
{{- end }}
{{- end }}

{{- /* Resources of our kinds of a scope, as a JSON list: read from the CRDs, so that no role forgets
a kind. `subresource` asks for that of each kind that has it; "" for the kinds themselves. */}}
{{- define "modelfleet.resources" -}}
{{- $found := list }}
{{- range $path, $_ := .root.Files.Glob "files/crds/*.yaml" }}
{{- $crd := ($.root.Files.Get $path | fromYaml).spec }}
{{- if has $crd.scope $.scopes }}
{{- if not $.subresource }}
{{- $found = append $found $crd.names.plural }}
{{- else if hasKey (first $crd.versions).subresources $.subresource }}
{{- $found = append $found (printf "%s/%s" $crd.names.plural $.subresource) }}
{{- end }}
{{- end }}
{{- end }}
{{- toJson $found }}
{{- end }}

{{- /* What the operator does with Models and their children, wherever it looks for Models. */}}
{{- define "modelfleet.modelRules" -}}
- apiGroups: [modelfleet.dev]
  resources: {{ include "modelfleet.resources" (dict "root" . "scopes" (list "Namespaced") "subresource" "") }}
  verbs: [list, watch]
- apiGroups: [modelfleet.dev]
  resources: [models]
  verbs: [get]
- apiGroups: [modelfleet.dev]
  resources: {{ include "modelfleet.resources" (dict "root" . "scopes" (list "Namespaced") "subresource" "status") }}
  verbs: [patch]
# Where OwnerReferencesPermissionEnforcement is on, as on OpenShift, nobody else may make children
# that hold up the deletion of their Model.
- apiGroups: [modelfleet.dev]
  resources: [models/finalizers]
  verbs: [update]
- apiGroups: [apps]
  resources: [controllerrevisions, deployments]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [serviceaccounts, services]
  verbs: [get, list, watch, create, patch]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [get, list, watch, create, patch]
# Leads a Service to the gateway while its Model sleeps.
- apiGroups: [discovery.k8s.io]
  resources: [endpointslices]
  verbs: [get, list, watch, create, patch]
# Takes a pod that leaves out of its Service, by a label.
- apiGroups: [""]
  resources: [pods]
  verbs: [patch]
{{ include "modelfleet.eventRules" . }}
{{- end }}

{{- define "modelfleet.eventRules" -}}
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [get, create, patch]
{{- end }}

{{- /* What belongs to no namespace, and the pods of all: each may hold a GPU. Namespaces say whose
cost it is. */}}
{{- define "modelfleet.fleetRules" -}}
- apiGroups: [""]
  resources: [namespaces, nodes, pods]
  verbs: [list, watch]
- apiGroups: [modelfleet.dev]
  resources: {{ include "modelfleet.resources" (dict "root" . "scopes" (list "Cluster") "subresource" "") }}
  verbs: [list, watch]
- apiGroups: [modelfleet.dev]
  resources: {{ include "modelfleet.resources" (dict "root" . "scopes" (list "Cluster") "subresource" "status") }}
  verbs: [patch]
{{- end }}

{{- define "modelfleet.subjects" -}}
- kind: ServiceAccount
  name: {{ include "modelfleet.serviceAccountName" . }}
  namespace: {{ .Release.Namespace }}
{{- end }}
