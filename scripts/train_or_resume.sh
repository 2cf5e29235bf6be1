#!/usr/bin/env bash
# Starts a run, or goes on with the one that WORKDIR holds: the same line each time and everywhere.
#
#   train_or_resume.sh gs://BUCKET/runs/hr configs/h36m_hr.yaml --data.root gs://BUCKET/h36m
#
# Every process looks into WORKDIR, which must be gs:// or on a disk that they share.
set -euo pipefail

workdir=${1:?which WORKDIR?}
shift
holds_run='import sys; from rsnet_jax.files.paths import to_path
from rsnet_jax.training.run_files import RunFiles
sys.exit(0 if RunFiles(to_path(sys.argv[1])).config.is_file() else 3)'

code=0
python -c "$holds_run" "$workdir" || code=$?
case $code in
  0) exec python -m rsnet_jax train --workdir "$workdir" --resume ;;
  3) exec python -m rsnet_jax train "$@" --workdir "$workdir" ;;
  *) exit "$code" ;; # it cannot be told: a new run could hide the old one
esac
