#!/usr/bin/env bash
# Makes the weights pose26 from motion capture: data, training, the tables of the card, the file.
#
#   scripts/train_pose26.sh MOCAP OUT.safetensors
#
# MOCAP is a folder with takes of CMU for `rsnet-jax prepare cmu`; docs/pose26.md says which were taken.
# Every step goes on where an interruption left it. The runs take some 220 minutes of one core, nearly
# half of them for the rival; data in dataset/, runs in runs/.
set -euo pipefail

mocap=${1:?which MOCAP?}
out=${2:?which OUT.safetensors?}
data=dataset/pose26
unmeasured=${out%.safetensors}-unmeasured.safetensors
rival=${out%.safetensors}-16.safetensors
prepare() { rsnet-jax prepare cmu --source "$mocap" --npz-fps 30 --noise --subjects-test S9 S11 "$@"; }
train() { # WORKDIR OPTIONS
  if [ -e "$1/config.yaml" ]; then rsnet-jax train --workdir "$1" --resume; else rsnet-jax train configs/pose26.yaml --workdir "$@"; fi
}

filmed() { prepare --cameras random --bodies 3 "$@"; }
held_out() { prepare --layout halpe26 --turn-heads --seed 1 "$@"; }
again() { train "$@" --train.epochs 1 --optim.learning-rate 0.0005; }
mean() { python scripts/ship_pose26.py "runs/$1" "runs/$1-again" --out "${@:2}"; }
ship() { mean pose26 "$@" --calibrate $data/views; }

# Twelve cameras for each clip, each view twice; then six others and other bodies once, at a lower rate.
# The mean of both weights knows the sizes of neither bodies by heart.
filmed --views 12 --layout halpe26 --turn-heads --out $data
filmed --views 6 --layout halpe26 --turn-heads --seed 2 --out $data-again
train runs/pose26 --data.root $data/views
again runs/pose26-again --train.init runs/pose26 --data.root $data-again/views

# The same motion and recipe for 16 joints, which the joints of a detector are made into by a rule.
sixteen=(--model.input-channels 2 --model.no-joint-errors --train.occlusion 0 --train.layouts)
filmed --views 12 --layout h36m16 --out $data-16
filmed --views 6 --layout h36m16 --seed 2 --out $data-16-again
train runs/pose26-16 --data.root $data-16/views "${sixteen[@]}"
again runs/pose26-16-again --train.init runs/pose26-16 --data.root $data-16-again/views "${sixteen[@]}"

held_out --cameras random --views 4 --out $data-test
held_out --cameras h36m --out $data-test-h36m
ship "$unmeasured"
mean pose26-16 "$rival"
python benchmarks/pose26.py "$unmeasured" --views $data-test/views --views-h36m $data-test-h36m/views \
  --baseline "16 joints, coco17 by rule" "$rival" --json benchmarks/results/pose26.json
rm -f "$unmeasured" "$rival"
ship "$out" --figures benchmarks/results/pose26.json
rsnet-jax export "$out" --flip-test --out "${out%.safetensors}.onnx" # for programs without JAX
