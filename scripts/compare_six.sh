#!/usr/bin/env bash
# Trains the six networks of the paper's table alike, three seeds of each, and compares them.
#
#   scripts/compare_six.sh DATA RUNS [OPTIONS of rsnet-jax train]
#
# DATA is a folder with Human3.6M files; RUNS is a folder for the runs and the table
# (table.md, .csv, .json and plot.png). All are trained on ground-truth keypoints of 16 joints by
# RS-Net's recipe and measured with the flip test. What has been trained already is not trained again,
# so that more --train.epochs continue the same runs.
set -euo pipefail

data=${1:?which DATA?}
runs=${2:?which RUNS?}
shift 2
presets=(h36m_gt semgcn_gt hgcn_cpn hoif_cpn weight_unsharing_gt modulated_gcn_gt)

for preset in "${presets[@]}"; do
  if [ -e "$runs/$preset/config.yaml" ]; then
    rsnet-jax train --workdir "$runs/$preset" --resume "$@"
  else
    rsnet-jax train "$preset" --recipe rsnet --workdir "$runs/$preset" --data.root "$data" \
      --data.detections gt --data.joint-set h36m16 --train.seeds 3 "$@"
  fi
done
rsnet-jax compare "RS-Net=$runs/h36m_gt" "SemGCN=$runs/semgcn_gt" "High-order GCN=$runs/hgcn_cpn" \
  "HOIF-Net=$runs/hoif_cpn" "Weight Unsharing=$runs/weight_unsharing_gt" \
  "Modulated GCN=$runs/modulated_gcn_gt" --data.root "$data" --data.detections gt \
  --out "$runs/table.md" "$runs/table.csv" "$runs/table.json" "$runs/plot.png"
