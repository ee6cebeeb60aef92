# shellcheck shell=bash
# What the two sbatch scripts share: stage the data, train, requeue. Not to be run by itself:
# sbatch configs/cluster/slurm_single_node.sbatch --config configs/experiments/mot17_half.yaml --model.weights yolo11n.pt
# shellcheck disable=SC2154  # venv, archives and runs are set by the script that reads this one

resume=last_or_new               # the newest last.ckpt below $runs; a new run where there is none (docs/resuming.md)
accelerator="${ACCELERATOR-gpu}"
workers="${WORKERS-$((${SLURM_CPUS_PER_TASK:-2} - 1))}" # processes per GPU that load data
scratch="${SCRATCH-${SLURM_TMPDIR:-${TMPDIR:-/tmp}}/jde-$SLURM_JOB_ID}" # local disk, the same path on every node
max_requeues="${MAX_REQUEUES-100}"
start="${SLURM_RESTART_COUNT:-0}"

if [ -n "$venv" ]; then
    # shellcheck disable=SC1091
    . "$venv/bin/activate"
fi
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}" # loaders are processes; with threads each they fight for the cores
export PYTHONUNBUFFERED=1                      # lines are in the log when they are written
export TORCH_NCCL_ASYNC_ERROR_HANDLING=1       # a lost GPU or node ends the job, after the time-out, instead of hanging it
export SRUN_CPUS_PER_TASK="${SLURM_CPUS_PER_TASK:-1}" # since SLURM 22.05 srun does not take it over from sbatch
mkdir -p "$runs/logs"
trap : TERM USR1 # the script outlives a signal, to see what became of the training

data=()
if [ -n "$archives" ]; then
    data=(--data.root "$scratch")
    # once per node, all nodes at a time, four archives at a time; the marker comes last, a second start finds it
    # shellcheck disable=SC2016  # expanded on the node
    srun --ntasks="$SLURM_NNODES" --ntasks-per-node=1 bash -c '
        set -euo pipefail
        [ ! -e "$1/.complete" ] || exit 0
        mkdir -p "$1"
        find "$0" -maxdepth 1 -name "*.tar" -print0 | xargs -0 -r -P 4 -I{} tar -xf {} -C "$1"
        touch "$1/.complete"' "$archives" "$scratch"
fi

# --wait: where a process fails, the others have two minutes to end, too, and need not wait for NCCL's time-out.
code=0
srun --wait=120 --kill-on-bad-exit=0 --open-mode=append --output="$runs/logs/%j-rank%t.log" \
    jde-lightning fit "$@" "${data[@]}" \
    --trainer.accelerator "$accelerator" --trainer.strategy ddp --trainer.use_distributed_sampler false \
    --trainer.num_nodes "$SLURM_NNODES" --trainer.devices "$SLURM_NTASKS_PER_NODE" \
    --trainer.default_root_dir "$runs" --data.num_workers "$workers" --ckpt_path "$resume" || code=$?

echo "$(date '+%F %T') job $SLURM_JOB_ID, start $((start + 1)): jde-lightning ended with code $code; logs in $runs/logs"
if [ "$code" -eq 75 ]; then # a signal ended it and it is saved: try again
    again="RUNS=$runs sbatch ... goes on with it"
    if [ "$start" -ge "$max_requeues" ]; then
        echo "not requeued, MAX_REQUEUES is $max_requeues; $again"
    else
        scontrol requeue "$SLURM_JOB_ID" || echo "requeueing was refused; $again"
    fi
fi
exit "$code"
