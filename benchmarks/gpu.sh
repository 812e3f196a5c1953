#!/usr/bin/env bash
# Parity, speed, memory and plan against measured, on a machine that has only Python 3.12, torch, transformers,
# safetensors and numpy. Also runs on a CPU:
#   MODEL=random:small LARGE= QUANTIZED= DTYPE=fp32 DTYPES=fp32 DEVICE=cpu STREAMS=1,2 CONTEXTS=256 benchmarks/gpu.sh
#
#   MODEL    random:1.5b      LARGE  random:7b, or nothing      DTYPE  bf16      DEVICE  cuda, or cpu where there is none
#   DTYPES   bf16 fp16 int8+bf16 int4+bf16: whose memory is measured
#   QUANTIZED   int8+bf16 int4+bf16, or nothing: whose speed is measured, too
#   OUT      where the tables go: benchmarks/results/DEVICE
#   FRAMES   20               TURNS  3         STREAMS  1,2,4,8,16,32     CONTEXTS  1024,4096,16384,60000
#   PYTHON   python3          LIMIT  seconds that a part may take; nothing: as long as it likes
#   PARTS    parity quantization tests engine large memory: which are run. OUT keeps what the others left there
#
# Steps are told as graphs and one by one, in turns. The last line is JSON. It fails when a part fails; the parts behind
# it are run all the same.
set -uo pipefail
cd "$(dirname "$0")/.."
PYTHON=${PYTHON:-python3}
export PYTHONPATH="src:.${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1 OMP_NUM_THREADS=1 HF_HUB_OFFLINE=1
DEVICE=${DEVICE:-$("$PYTHON" -c 'import torch; print("cuda" if torch.cuda.is_available() else "cpu")')} || exit
MODEL=${MODEL:-random:1.5b} LARGE=${LARGE-random:7b} DTYPE=${DTYPE:-bf16} FRAMES=${FRAMES:-20} TURNS=${TURNS:-3}
OUT=${OUT:-benchmarks/results/$DEVICE}
mkdir -p "$OUT"
[ -n "${PARTS:-}" ] || rm -f "$OUT"/*.log
failed=0

part() {  # NAME COMMAND…
	local name=$1
	shift
	case " ${PARTS:-parity quantization tests engine large memory} " in *" ${name%%-*} "*) ;; *) return ;; esac
	echo "== $name"
	${LIMIT:+timeout "$LIMIT"} "$PYTHON" -m "$@" 2>&1 | tee "$OUT/$name.log" || failed=1
}

part parity benchmarks.parity --device "$DEVICE"
part quantization benchmarks.quantization --device "$DEVICE"
if [ "$DEVICE" != cpu ] && "$PYTHON" -c 'import pytest' 2>/dev/null; then
	# What another build of torch warns of is no failure.
	part tests pytest -q -W default tests/gpu tests/unit/nn/test_flash.py
fi
part engine benchmarks.engine --model "$MODEL" --dtype "$DTYPE" --device "$DEVICE" --frames "$FRAMES" \
	--turns "$TURNS" --streams "${STREAMS:-1,2,4,8,16,32}" --contexts "${CONTEXTS:-1024,4096,16384,60000}" \
	--out "$OUT/engine.md"
if [ -n "$LARGE" ]; then
	part large benchmarks.engine --model "$LARGE" --dtype "$DTYPE" --device "$DEVICE" --frames "$FRAMES" --no-rival \
		--turns "$TURNS" --streams 1,8 --contexts 1024,30000 --out "$OUT/engine-large.md"
fi
for dtype in ${QUANTIZED-int8+bf16 int4+bf16}; do
	part "engine-${dtype//+/-}" benchmarks.engine --model "$MODEL" --dtype "$dtype" --device "$DEVICE" --frames "$FRAMES" \
		--no-rival --turns "$TURNS" --streams 1,8 --contexts 1024 --out "$OUT/engine-${dtype//+/-}.md"
done
for dtype in ${DTYPES:-bf16 fp16 int8+bf16 int4+bf16}; do
	part "memory-${dtype//+/-}" benchmarks.device_memory --model "$MODEL" --dtype "$dtype" --device "$DEVICE" --frames 10
done

"$PYTHON" - "$OUT" "$failed" <<'PYTHON'
import json, pathlib, sys
folder, failed = pathlib.Path(sys.argv[1]), sys.argv[2] != "0"
found = {"failed": failed}
for log in sorted(folder.glob("*.log")):
    lines = log.read_text().strip().splitlines() or [""]
    told = [line for line in lines if line.startswith("{") and line.endswith("}")]
    found[log.stem] = json.loads(told[-1]) if told else lines[-1]
print(json.dumps(found))
PYTHON
exit "$failed"
