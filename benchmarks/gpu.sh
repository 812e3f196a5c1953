#!/usr/bin/env bash
# Parity, speed, memory and plan against measured, on a machine that has only Python 3.12, torch, transformers,
# safetensors and numpy. Also runs on a CPU: MODEL=random:tiny DTYPE=fp32 DEVICE=cpu benchmarks/gpu.sh
#
#   MODEL    random:1.5b      DTYPE  bf16      DEVICE  cuda, or cpu where there is none
#   OUT      where the tables go: benchmarks/results/DEVICE
#   FRAMES   20               TURNS  3         STREAMS  1,2,4,8,16,32     CONTEXTS  1024,4096,16384,60000
#   PYTHON   python3
#
# The last line is JSON. It fails when a part fails; the parts behind it are run all the same.
set -uo pipefail
cd "$(dirname "$0")/.."
PYTHON=${PYTHON:-python3}
export PYTHONPATH="src:." PYTHONUNBUFFERED=1 OMP_NUM_THREADS=1 HF_HUB_OFFLINE=1
DEVICE=${DEVICE:-$("$PYTHON" -c 'import torch; print("cuda" if torch.cuda.is_available() else "cpu")')} || exit
MODEL=${MODEL:-random:1.5b} DTYPE=${DTYPE:-bf16}
OUT=${OUT:-benchmarks/results/$DEVICE}
mkdir -p "$OUT"
failed=0

part() {  # NAME COMMAND…
	local name=$1
	shift
	echo "== $name"
	"$PYTHON" -m "$@" | tee "$OUT/$name.log" || failed=1
}

part parity benchmarks.parity --device "$DEVICE"
part quantization benchmarks.quantization --device "$DEVICE"
part engine benchmarks.engine --model "$MODEL" --dtype "$DTYPE" --device "$DEVICE" --frames "${FRAMES:-20}" \
	--turns "${TURNS:-3}" --streams "${STREAMS:-1,2,4,8,16,32}" --contexts "${CONTEXTS:-1024,4096,16384,60000}" \
	--out "$OUT/engine.md"
part memory benchmarks.device_memory --model "$MODEL" --dtype "$DTYPE" --device "$DEVICE" --frames "${FRAMES:-20}" \
	--streams 4 --tokens "${TOKENS:-4096}"

"$PYTHON" - "$OUT" "$failed" <<'END'
import json, pathlib, sys
folder, failed = pathlib.Path(sys.argv[1]), sys.argv[2] != "0"
found = {"failed": failed}
for log in sorted(folder.glob("*.log")):
    last = log.read_text().strip().splitlines()[-1:] or [""]
    found[log.stem] = json.loads(last[0]) if last[0].startswith("{") else None
print(json.dumps(found))
END
exit "$failed"
