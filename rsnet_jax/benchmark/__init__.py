"""Speed of training, prediction and evaluation, alone or beside rivals; `rsnet-jax benchmark`."""
