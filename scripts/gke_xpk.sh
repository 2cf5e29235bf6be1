#!/usr/bin/env bash
# A training run on a GKE cluster with TPU slices, by xpk. IMAGE is built as docs/pods.md says.
#
#   export CLUSTER=my-cluster PROJECT=my-project ZONE=us-west4-a TYPE=v5litepod-16
#   export IMAGE=us-docker.pkg.dev/my-project/images/rsnet
#   scripts/gke_xpk.sh rsnet-hr gs://BUCKET/runs/hr configs/h36m_hr.yaml --data.root gs://BUCKET/h36m
#
# RESTARTS says how often a slice may be lost. XPK_OPTIONS is added as it is.
set -euo pipefail

: "${CLUSTER:?which cluster?}" "${PROJECT:?}" "${ZONE:?}" "${IMAGE:?}" "${TYPE:?which TPU type?}"
workload=${1:?name the workload}
shift
read -ra more <<<"${XPK_OPTIONS:-}"

xpk workload create --cluster="$CLUSTER" --project="$PROJECT" --zone="$ZONE" \
  --workload="$workload" --tpu-type="$TYPE" --num-slices=1 --docker-image="$IMAGE" \
  --max-restarts="${RESTARTS:-50}" --termination-grace-period-seconds=120 \
  --command="bash scripts/train_or_resume.sh $(printf '%q ' "$@")" ${more[@]+"${more[@]}"}
