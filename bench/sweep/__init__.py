"""The sweep: a config's cells, planned, measured and checked.

- `plan`      config + checkpoints -> cells and the shards still to do
- `costs`     what they will cost
- `worker`    one shard, in which process: pictures -> perturbation -> classifier -> rows
- `on_ray`    trainings and shards on a Ray cluster
- `together`  several runs at one folder
- `run`       the whole of `bench run robustness`
- `verify`    stored rows computed anew; the regression subset
"""
