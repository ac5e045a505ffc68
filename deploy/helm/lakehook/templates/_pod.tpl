{{/* The pod, of a StatefulSet or a Deployment. */}}
{{- define "lakehook.pod" -}}
metadata:
  labels:
    {{- include "lakehook.labels" . | nindent 4 }}
    {{- with .Values.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  annotations:
    checksum/config: {{ include (print $.Template.BasePath "/configmap.yaml") . | sha256sum }}
    checksum/tokens: {{ include (print $.Template.BasePath "/secret.yaml") . | sha256sum }}
    {{- with .Values.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  serviceAccountName: {{ include "lakehook.serviceAccount" . }}
  automountServiceAccountToken: false
  # A Service with this name would put LAKEHOOK_PORT and its like into the environment.
  enableServiceLinks: false
  terminationGracePeriodSeconds: {{ add .Values.stop.drainDelaySeconds .Values.stop.shutdownGraceSeconds 15 }}
  {{- with .Values.imagePullSecrets }}
  imagePullSecrets: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  securityContext:
    runAsNonRoot: true
    runAsUser: 65532
    runAsGroup: 65532
    fsGroup: 65532
    fsGroupChangePolicy: OnRootMismatch
    seccompProfile: {type: RuntimeDefault}
  containers:
    - name: lakehook
      image: "{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}"
      imagePullPolicy: {{ .Values.image.pullPolicy }}
      args: [serve]
      env:
        - {name: LAKEHOOK_CONFIG, value: /etc/lakehook/lakehook.toml}
        - {name: LAKEHOOK_LAKE__URL, value: {{ .Values.lake.url | quote }}}
        - {name: LAKEHOOK_SERVER__LISTEN, value: {{ ternary "[::]:4000" "0.0.0.0:4000" .Values.cluster.ipv6 | quote }}}
        - {name: LAKEHOOK_SERVER__DRAIN_DELAY, value: "{{ .Values.stop.drainDelaySeconds }}s"}
        - {name: LAKEHOOK_SERVER__SHUTDOWN_GRACE, value: "{{ .Values.stop.shutdownGraceSeconds }}s"}
        - {name: LAKEHOOK_WAL__DIR, value: /data/wal}
        - {name: LAKEHOOK_WAL__MAX_BYTES, value: {{ .Values.storage.walMaxBytes | quote }}}
        - {name: LAKEHOOK_POLLS__DIR, value: /data/polls}
        {{- with .Values.cluster }}
        {{- if .name }}
        # The others are told of it, so it is the address of the pod.
        - {name: POD_IP, valueFrom: {fieldRef: {fieldPath: status.podIP}}}
        - {name: LAKEHOOK_CLUSTER__ADDRESS, value: {{ ternary "[$(POD_IP)]" "$(POD_IP)" .ipv6 | printf "%s:4100" | quote }}}
        - {name: LAKEHOOK_CLUSTER__NAME, value: {{ .name | quote }}}
        - {name: LAKEHOOK_CLUSTER__SECRET_FILE, value: /run/lakehook-cluster/secret}
        - {name: LAKEHOOK_WAL__REPLICA, value: {{ .replica | quote }}}
        {{- end }}
        {{- end }}
        {{- if include "lakehook.tokensSecret" . }}
        - {name: LAKEHOOK_SERVER__TOKENS_FILE, value: /run/lakehook/tokens}
        {{- end }}
        {{- if .Values.allowUnauthenticated }}
        - {name: LAKEHOOK_SERVER__ALLOW_UNAUTHENTICATED, value: "true"}
        {{- end }}
        {{- with .Values.env }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      {{- with .Values.envFrom }}
      envFrom: {{- toYaml . | nindent 8 }}
      {{- end }}
      ports:
        - {name: http, containerPort: 4000}
        {{- if .Values.cluster.name }}
        - {name: nodes, containerPort: 4100}
        {{- end }}
      # Reading a long log takes time, in which /health answers and /ready does not.
      livenessProbe:
        httpGet: {path: /health, port: http}
        periodSeconds: 10
        timeoutSeconds: 5
        failureThreshold: 6
      readinessProbe:
        httpGet: {path: /ready, port: http}
        periodSeconds: 2
        timeoutSeconds: 2
        failureThreshold: 1
      resources: {{- toYaml .Values.resources | nindent 8 }}
      securityContext:
        allowPrivilegeEscalation: false
        readOnlyRootFilesystem: true
        capabilities: {drop: [ALL]}
      volumeMounts:
        - {name: data, mountPath: /data}
        - {name: config, mountPath: /etc/lakehook/lakehook.toml, subPath: lakehook.toml, readOnly: true}
        {{- range $name, $_ := .Values.files }}
        - {name: config, mountPath: {{ printf "/etc/lakehook/files/%s" $name | quote }}, subPath: {{ $name | quote }}, readOnly: true}
        {{- end }}
        {{- if .Values.cluster.name }}
        - {name: cluster, mountPath: /run/lakehook-cluster, readOnly: true}
        {{- end }}
        {{- if include "lakehook.tokensSecret" . }}
        - {name: tokens, mountPath: /run/lakehook, readOnly: true}
        {{- end }}
        {{- with .Values.volumeMounts }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
  volumes:
    - name: config
      configMap: {name: {{ include "lakehook.fullname" . }}}
    {{- if .Values.cluster.name }}
    # Copies of what is in the replica: a pod may begin without them.
    - name: data
      emptyDir: {sizeLimit: {{ .Values.storage.size }}}
    - name: cluster
      secret: {secretName: {{ .Values.cluster.existingSecret }}, defaultMode: 0440, items: [{key: secret, path: secret}]}
    {{- end }}
    {{- with include "lakehook.tokensSecret" . }}
    - name: tokens
      secret: {secretName: {{ . }}, defaultMode: 0440, items: [{key: tokens, path: tokens}]}
    {{- end }}
    {{- with .Values.volumes }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with .Values.nodeSelector }}
  nodeSelector: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.tolerations }}
  tolerations: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.affinity }}
  affinity: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- if .Values.topologySpreadConstraints }}
  topologySpreadConstraints: {{- toYaml .Values.topologySpreadConstraints | nindent 4 }}
  {{- else if .Values.cluster.name }}
  # Pods on one machine are lost together.
  topologySpreadConstraints:
    - maxSkew: 1
      topologyKey: kubernetes.io/hostname
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels: {{- include "lakehook.selector" . | nindent 10 }}
  {{- end }}
{{- end -}}
