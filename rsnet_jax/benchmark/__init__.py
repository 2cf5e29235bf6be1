"""Speed of training, prediction and evaluation, alone or against rivals; `rsnet-jax benchmark`."""
