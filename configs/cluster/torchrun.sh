#!/usr/bin/env bash
# Trains on all GPUs of this machine, or of several, without a scheduler (or in a Kubernetes pod), see docs/clusters.md.
# bash configs/cluster/torchrun.sh fit --config configs/experiments/mot17_half.yaml --model.weights yolo11n.pt
#
# Several machines, the same command on each; the first one is named to all, and all see the same --trainer.default_root_dir:
#   NNODES=4 HEAD=node01:29500 bash configs/cluster/torchrun.sh fit ...
# What stands after the script's name is a verb of `jde-lightning` and its options; the Trainer flags that this needs are
# added where they are not given. Two processes without a GPU: GPUS=2 before it, --trainer.accelerator cpu behind it.
# SIGTERM, SIGUSR1 or Ctrl-C to this process: the training saves last.ckpt and all end with code 75 (Ctrl-C: 130); the
# same command goes on with `--ckpt_path last_or_new`.
set -euo pipefail

gpus="${GPUS-auto}"                  # processes of this machine: a number, or auto for all of its GPUs
nodes="${NNODES-1}"
head="${HEAD-}"                      # HOST:PORT of the first machine; any free port, the same for all
logs="${LOGS-runs/torchrun-logs}"    # of every process: LOGS/ID_*/attempt_0/RANK/std{out,err}.log; newest ID: ls -t
restarts="${RESTARTS-0}"             # start all processes again after a failure so many times

export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"      # loaders are processes; with threads each they fight for the cores
export PYTHONUNBUFFERED=1
export TORCH_NCCL_ASYNC_ERROR_HANDLING=1            # a lost GPU or machine ends the training instead of hanging it
export TORCH_ELASTIC_SHUTDOWN_TIMEOUT="${TORCH_ELASTIC_SHUTDOWN_TIMEOUT:-100}" # seconds to save in, then SIGKILL
export TORCHELASTIC_SIGNALS_TO_HANDLE=SIGTERM,SIGINT,SIGHUP,SIGQUIT,SIGUSR1
# where processes do not find each other: export NCCL_DEBUG=INFO NCCL_SOCKET_IFNAME=eth0 GLOO_SOCKET_IFNAME=eth0

if [ -n "${PET_NNODES-}" ]; then     # Kubeflow tells torchrun nodes, rank and address by PET_...
    where=()
elif [ "$nodes" = 1 ]; then
    where=(--standalone --nproc-per-node "$gpus") # takes a free port
else
    : "${head:?set HEAD=HOST:PORT of the first machine}"
    where=(--nnodes "$nodes" --nproc-per-node "$gpus"
        --rdzv-backend c10d --rdzv-endpoint "$head" --rdzv-id "${RDZV_ID-jde}")
fi
more=()
add() { [[ " ${words[*]} " == *" --trainer.$1"[=\ ]* ]] || more+=("--trainer.$1" "$2"); } # unless it is given
words=("$@")
case "${1-}" in
    fit | validate | test | predict)
        add strategy ddp
        add use_distributed_sampler false # ours deal out the data themselves
        add num_nodes "${PET_NNODES-$nodes}"
        add devices "$gpus"
        ;;
esac
mkdir -p "$logs"

# torchrun itself ends with 1 whatever the processes ended with; this passes on what they said, above all 75.
exec python -c '
import signal, sys
from torch.distributed.elastic.multiprocessing import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.run import main

try:
    main()
except SignalException as end:  # this process was told to stop, and has told the others
    print(f"torchrun: {end}", file=sys.stderr)
    sys.exit(130 if end.sigval == signal.SIGINT else 75)  # Ctrl-C is a person, who does not want to go on
except ChildFailedError as end:
    code = end.get_first_failure()[1].exitcode
    print(end, file=sys.stderr)
    sys.exit(code if code > 0 else 128 - code)
' "${where[@]}" --max-restarts "$restarts" --log-dir "$logs" --tee 3 -m jde_lightning "$@" ${more[@]+"${more[@]}"}
