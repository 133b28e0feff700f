{{- /* Labels of every object. Call with the root context. */ -}}
{{- define "podbench.labels" -}}
app.kubernetes.io/name: podbench
app.kubernetes.io/managed-by: podbench
podbench.io/run: {{ .Values.run | quote }}
{{- end }}

{{- /* What tells one set of pods from the others. Call with (dict "root" $ "component" "vxlan"). */ -}}
{{- define "podbench.selector" -}}
podbench.io/run: {{ .root.Values.run | quote }}
podbench.io/component: {{ .component | quote }}
{{- end }}

{{- /* Labels of pods: the mesh's side-cars would carry the probes through a proxy. */ -}}
{{- define "podbench.podLabels" -}}
{{ include "podbench.labels" .root }}
podbench.io/component: {{ .component | quote }}
istio.io/dataplane-mode: none
sidecar.istio.io/inject: "false"
kuma.io/sidecar-injection: disabled
{{- end }}

{{- define "podbench.podAnnotations" -}}
linkerd.io/inject: disabled
sidecar.istio.io/inject: "false"
consul.hashicorp.com/connect-inject: "false"
{{- end }}

{{- /* Terms are ORed, and a field takes one value in each. By the object's name: the hostname label may differ. */ -}}
{{- define "podbench.affinity" -}}
nodeAffinity:
  requiredDuringSchedulingIgnoredDuringExecution:
    nodeSelectorTerms:
      {{- range . }}
      - matchFields:
          - key: metadata.name
            operator: In
            values: [{{ . | quote }}]
      {{- end }}
{{- end }}

{{- /* Where pods run and as whom; the same for all. Call with (dict "root" $ "nodes" list "component" name). */ -}}
{{- define "podbench.placement" -}}
serviceAccountName: podbench-agent
automountServiceAccountToken: false
enableServiceLinks: false
dnsPolicy: Default
terminationGracePeriodSeconds: 5
affinity:
  {{- include "podbench.affinity" .nodes | nindent 2 }}
{{- with .root.Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . | quote }}
  {{- end }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  fsGroup: 65532
  seccompProfile:
    type: RuntimeDefault
{{- end }}

{{- define "podbench.restricted" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities:
  drop: [ALL]
{{- end }}

{{- /* No CPU limit: a throttled agent would measure its own throttling. */ -}}
{{- define "podbench.resources" -}}
requests:
  cpu: {{ .cpu | quote }}
  memory: {{ .memory | quote }}
limits:
  memory: {{ .memoryLimit | quote }}
{{- end }}

{{- /*
An agent's container. Call with (dict "root" $ "component" "vxlan" "capture" false "address" "status.podIP").
On the host network the address is the node's InternalIP: no other address of the node is listened on.
*/ -}}
{{- define "podbench.agent" -}}
{{- $values := .root.Values -}}
name: agent
image: {{ $values.image.reference | quote }}
imagePullPolicy: {{ $values.image.pullPolicy }}
args:
  - "--id=$(NODE_NAME)-{{ .component }}"
  - "--node=$(NODE_NAME)"
  - {{ printf "--run=%s" $values.run | quote }}
  - {{ printf "--broker=%s" $values.broker.url | quote }}
  - "--bind=$(BIND_ADDRESS)"
  - {{ printf "--port=%d" (int $values.agents.port) | quote }}
  - "--password-file=/etc/podbench/password"
  - "--hmac-key-file=/etc/podbench/shared/hmac.key"
  {{- if $values.broker.tls.ca }}
  - "--ca-file=/etc/podbench/shared/ca.crt"
  {{- end }}
  {{- with $values.broker.username }}
  - {{ printf "--username=%s" . | quote }}
  {{- end }}
env:
  - name: NODE_NAME
    valueFrom:
      fieldRef:
        fieldPath: spec.nodeName
  - name: BIND_ADDRESS
    valueFrom:
      fieldRef:
        fieldPath: {{ .address }}
ports:
  - name: stamp
    containerPort: {{ $values.agents.port }}
    protocol: UDP
resources:
  {{- include "podbench.resources" (dict "cpu" (default $values.agents.cpu .cpu) "memory" $values.agents.memory "memoryLimit" $values.agents.memoryLimit) | nindent 2 }}
securityContext:
  {{- if .capture }}
  # Capabilities reach root only, where privileges may not grow.
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  runAsNonRoot: false
  runAsUser: 0
  capabilities:
    drop: [ALL]
    add: [NET_RAW]
  {{- else }}
  {{- include "podbench.restricted" . | nindent 2 }}
  {{- end }}
volumeMounts:
  # Of all agents' passwords the container sees its own.
  - name: passwords
    mountPath: /etc/podbench/password
    subPathExpr: $(NODE_NAME)
    readOnly: true
  - name: shared
    mountPath: /etc/podbench/shared
    readOnly: true
  # iperf3 keeps each stream's payload in a file.
  - name: tmp
    mountPath: /tmp
{{- end }}

{{- /*
One set of agents on the pod network, and their passwords. Call with (dict "root" $ "component" "vxlan" "pool" name or
empty "passwords" map "cpu" what it requests, where not what all do).
*/ -}}
{{- define "podbench.podAgents" -}}
apiVersion: v1
kind: Secret
metadata:
  name: podbench-passwords-{{ .component }}
  namespace: podbench
  labels:
    {{- include "podbench.labels" .root | nindent 4 }}
type: Opaque
data:
  {{- range $node, $password := .passwords }}
  {{ $node }}: {{ $password | b64enc }}
  {{- end }}
---
apiVersion: apps/v1
kind: DaemonSet
metadata:
  name: podbench-agent-{{ .component }}
  namespace: podbench
  labels:
    {{- include "podbench.labels" .root | nindent 4 }}
    podbench.io/component: {{ .component }}
spec:
  selector:
    matchLabels:
      {{- include "podbench.selector" . | nindent 6 }}
  # An agent is replaced only when it dies: never in the middle of a run.
  updateStrategy:
    type: OnDelete
  template:
    metadata:
      labels:
        {{- include "podbench.podLabels" . | nindent 8 }}
      annotations:
        {{- include "podbench.podAnnotations" .root | nindent 8 }}
        {{- with .pool }}
        cni.projectcalico.org/ipv4pools: {{ list . | toJson | quote }}
        {{- end }}
    spec:
      {{- include "podbench.placement" (dict "root" .root "nodes" .root.Values.nodes) | nindent 6 }}
      containers:
        - {{ include "podbench.agent" (dict "root" .root "component" .component "cpu" .cpu "capture" false "address" "status.podIP") | nindent 10 | trim }}
      volumes:
        {{- include "podbench.agentVolumes" . | nindent 8 }}
{{- end }}

{{- define "podbench.agentVolumes" -}}
- name: passwords
  secret:
    secretName: podbench-passwords-{{ .component }}
    defaultMode: 0440
- name: shared
  secret:
    secretName: podbench-shared
    defaultMode: 0440
- name: tmp
  emptyDir:
    medium: Memory
    sizeLimit: 64Mi
{{- end }}
