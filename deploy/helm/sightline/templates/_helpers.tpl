{{- define "sightline.name" -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" }}
{{- end }}

{{- define "sightline.selector" -}}
app.kubernetes.io/name: sightline
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "sightline.labels" -}}
{{ include "sightline.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{/* The pod of a host. Takes the root, `hosts` (.Values.cpu or .Values.gpu), `image` and `runtimeClassName`. */}}
{{- define "sightline.pod" -}}
metadata:
  labels:
    {{- include "sightline.labels" .root | nindent 4 }}
    app.kubernetes.io/component: {{ .component }}
  annotations:
    # Hosts start anew with a changed pipeline, one after the other.
    checksum/pipeline: {{ .root.Values.pipeline | toJson | sha256sum }}
spec:
  automountServiceAccountToken: false
  # SIGTERM hands the streams over, which takes some seconds.
  terminationGracePeriodSeconds: 30
  {{- with .runtimeClassName }}
  runtimeClassName: {{ . }}
  {{- end }}
  {{- with .root.Values.imagePullSecrets }}
  imagePullSecrets:
    {{- range . }}
    - name: {{ . }}
    {{- end }}
  {{- end }}
  securityContext:
    runAsNonRoot: true
    runAsUser: 10001
    runAsGroup: 10001
    fsGroup: 10001
    seccompProfile: { type: RuntimeDefault }
  containers:
    - name: host
      image: "{{ .image.repository }}:{{ .image.tag | default .root.Chart.AppVersion }}"
      imagePullPolicy: {{ .root.Values.image.pullPolicy }}
      args:
        - host
        - /etc/sightline/pipeline.yaml
        - --id=$(POD_NAME)
        - --host=0.0.0.0
        - --port=8080
        - --log=json
        {{- if .root.Values.recordings.claimName }}
        - --root=/data/recordings
        {{- end }}
      env:
        - name: POD_NAME
          valueFrom: { fieldRef: { fieldPath: metadata.name } }
        - name: REDIS_URL
          valueFrom: { secretKeyRef: { name: {{ .root.Values.secretName }}, key: redis-url } }
        - name: SIGHTLINE_TOKEN
          valueFrom: { secretKeyRef: { name: {{ .root.Values.secretName }}, key: token } }
        - name: SIGHTLINE_FLEET_KEYS
          valueFrom: { secretKeyRef: { name: {{ .root.Values.secretName }}, key: fleet-keys, optional: true } }
      ports:
        - { name: http, containerPort: 8080 }
      # The first start compiles the model.
      startupProbe:
        httpGet: { path: /healthz, port: http }
        periodSeconds: 5
        failureThreshold: 60
      livenessProbe:
        httpGet: { path: /healthz, port: http }
        periodSeconds: 10
        timeoutSeconds: 5
        failureThreshold: 3
      readinessProbe:
        httpGet: { path: /readyz, port: http }
        periodSeconds: 5
        timeoutSeconds: 5
      securityContext:
        allowPrivilegeEscalation: false
        readOnlyRootFilesystem: true
        capabilities: { drop: [ALL] }
      resources:
        {{- toYaml .hosts.resources | nindent 8 }}
      volumeMounts:
        - { name: pipeline, mountPath: /etc/sightline, readOnly: true }
        - { name: cache, mountPath: /var/cache/sightline }
        - { name: temporary, mountPath: /tmp }
        {{- if .root.Values.recordings.claimName }}
        - { name: recordings, mountPath: /data/recordings, readOnly: {{ .root.Values.recordings.readOnly }} }
        {{- end }}
  volumes:
    - name: pipeline
      configMap: { name: {{ include "sightline.name" .root }} }
    - name: cache
      emptyDir: { sizeLimit: {{ .root.Values.cache.sizeLimit }} }
    - name: temporary
      emptyDir: { medium: Memory, sizeLimit: 256Mi }
    {{- if .root.Values.recordings.claimName }}
    - name: recordings
      persistentVolumeClaim: { claimName: {{ .root.Values.recordings.claimName }}, readOnly: {{ .root.Values.recordings.readOnly }} }
    {{- end }}
  {{- with .hosts.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .hosts.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .hosts.affinity }}
  affinity:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}
