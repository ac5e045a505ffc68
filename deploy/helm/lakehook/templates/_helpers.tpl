{{- define "lakehook.fullname" -}}
{{- if contains "lakehook" .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-lakehook" .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "lakehook.selector" -}}
app.kubernetes.io/name: lakehook
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end -}}

{{- define "lakehook.labels" -}}
{{ include "lakehook.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service | quote }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | quote }}
{{- end -}}

{{- define "lakehook.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "lakehook.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "lakehook.tokensSecret" -}}
{{- if .Values.tokens.existingSecret -}}
{{- .Values.tokens.existingSecret -}}
{{- else if .Values.tokens.values -}}
{{- printf "%s-tokens" (include "lakehook.fullname" .) -}}
{{- end -}}
{{- end -}}

{{/* What no pod can run with, said before there is one. */}}
{{- define "lakehook.check" -}}
{{- if not .Values.image.repository -}}
{{- fail "image.repository is required: the name of the image that you have built or mirrored" -}}
{{- end -}}
{{- if not .Values.lake.url -}}
{{- fail "lake.url is required, such as s3://my-lake/raw" -}}
{{- end -}}
{{- if not (or (include "lakehook.tokensSecret" .) .Values.allowUnauthenticated) -}}
{{- fail "the service listens beyond its pod: set tokens.existingSecret or tokens.values, or allowUnauthenticated where something in front of it controls access" -}}
{{- end -}}
{{- if .Values.cluster.name -}}
{{- if not .Values.cluster.replica -}}
{{- fail "nodes of a cluster share a log that all of them reach: set cluster.replica, such as nats://nats:4222 or s3://my-lake/raw/_lakehook/log" -}}
{{- end -}}
{{- if not .Values.cluster.existingSecret -}}
{{- fail "whoever reaches the nodes could write into the log: set cluster.existingSecret to a Secret whose key `secret` holds what `openssl rand -hex 32` prints" -}}
{{- end -}}
{{- if not (hasPrefix "s3://" .Values.lake.url) -}}
{{- fail "nodes of a cluster need a lake that all of them reach: an s3:// URL" -}}
{{- end -}}
{{- else if or .Values.cluster.replica .Values.cluster.existingSecret -}}
{{- fail "nothing uses cluster.replica and cluster.existingSecret without cluster.name: set it, or leave them out" -}}
{{- end -}}
{{- if and (not .Values.cluster.name) (gt (int .Values.replicas) 1) (regexMatch "(?m)^\\s*\\[\\s*poll\\." .Values.config) -}}
{{- fail "each pod would run every poll: put polls into a release of their own with replicas: 1" -}}
{{- end -}}
{{- if and (gt (int .Values.replicas) 1) (not (hasPrefix "s3://" .Values.lake.url)) -}}
{{- fail "several pods need a lake that all of them reach: an s3:// URL" -}}
{{- end -}}
{{- end -}}
