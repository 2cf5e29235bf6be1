#!/usr/bin/env bash
# A training run on a Cloud TPU slice, by gcloud, from a checkout on your own machine.
#
#   export NAME=rsnet ZONE=us-west4-a TYPE=v5litepod-16 SPOT=1
#   scripts/tpu_vm.sh create
#   scripts/tpu_vm.sh install
#   scripts/tpu_vm.sh train gs://BUCKET/runs/hr configs/h36m_hr.yaml --data.root gs://BUCKET/h36m
#   scripts/tpu_vm.sh delete
#
# `keep` instead of `train` makes the slice anew when it is preempted, and goes on with the run.
set -euo pipefail

: "${NAME:?name the slice}" "${ZONE:?in which zone?}" "${TYPE:?which accelerator type?}"
case $TYPE in
  v6e-*) software=v2-alpha-tpuv6e ;;
  v5p-*) software=v2-alpha-tpuv5 ;;
  v5litepod-*) software=v2-alpha-tpuv5-lite ;;
  *) software=tpu-ubuntu2204-base ;; # v4 and older
esac

state() {
  gcloud compute tpus queued-resources describe "$NAME" --zone="$ZONE" \
    --format='value(state.state)'
}

everywhere() {
  gcloud compute tpus tpu-vm ssh "$NAME" --zone="$ZONE" --worker=all --command="$1"
}

create() {
  gcloud compute tpus queued-resources create "$NAME" --node-id="$NAME" --zone="$ZONE" \
    --accelerator-type="$TYPE" --runtime-version="$software" ${SPOT:+--spot}
  local now
  until now=$(state) && [ "$now" = ACTIVE ]; do
    case $now in FAILED | SUSPENDED) echo "$NAME: $now" >&2 && exit 1 ;; esac
    sleep "${POLL:-30}"
  done
}

install() { # the Python of these machines may be older than 3.11
  rm -rf dist && python3 -m pip wheel --quiet --no-deps --wheel-dir dist .
  gcloud compute tpus tpu-vm scp dist/rsnet_jax-*.whl scripts/train_or_resume.sh "$NAME": \
    --zone="$ZONE" --worker=all
  everywhere 'curl -LsSf https://astral.sh/uv/install.sh | sh &&
    ~/.local/bin/uv venv --clear --python 3.12 rsnet &&
    ~/.local/bin/uv pip install --python rsnet/bin/python "$(ls rsnet_jax-*.whl)[tpu,gcs]"'
}

train() {
  everywhere "source rsnet/bin/activate && bash train_or_resume.sh $(printf '%q ' "$@")"
}

keep() {
  until train "$@"; do
    sleep "${POLL:-60}" # a preemption takes a while to be told
    if [ "$(state)" = ACTIVE ]; then
      echo "the run failed, the slice did not: see above" >&2 && exit 1
    fi
    delete # on lines of their own: within && a failure of the commands in them would be passed over
    create
    install
  done
}

delete() {
  gcloud compute tpus queued-resources delete "$NAME" --zone="$ZONE" --force --quiet
}

case ${1:-} in
  create | install | train | keep | delete) "$@" ;;
  *) echo "usage: $0 create | install | train ... | keep ... | delete" >&2 && exit 2 ;;
esac
