"""The sweep: plan (cells, shards), worker, executors.

- `plan`       config + checkpoints -> cells and the shards still to do
- `worker`     one shard: pictures -> perturbation -> classifier -> rows
- `executors`  where shards run: this process, or one process per core
- `command`    the command line that computes a cell
- `run`        the whole of `bench run robustness`
"""
