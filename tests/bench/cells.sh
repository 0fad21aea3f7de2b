# shellcheck shell=bash
# Figures of a part of `make bench`, as lines of JSON. Sourced.
#
# A line is one measurement: bench, engine, device, rw, bs, qd, vqs, devices, metric,
# value, run, and within, how far two runs may be apart. Whether the last two of a cell
# are no further is for scripts/bench.d/report to say.

here=$(dirname "$(realpath "${BASH_SOURCE[0]}")")
# shellcheck disable=SC2034 # the parts'
client=$here/../../build/tests/bench/vring-bench
status=0
declare -A begun
# Half a percent, unless a part says otherwise.
within=0.005

# begin NAME [PART]: what the next figures belong to; PART, which is NAME where it has one
# program, is where they go.
begin()
{
	local part=${2-$1}

	bench=$1
	report=/out/bench.$part
	[ -n "${begun[$part]-}" ] || : >"$report"
	begun[$part]=1
}

# cell DEVICE RW BS QD VQS DEVICES: what the next figures are of.
cell()
{
	device=$1 rw=$2 bs=$3 qd=$4 vqs=$5 devices=$6
	where="$device, $rw $bs, QD $qd, $vqs vqs, $devices devices"
}

# emit ENGINE METRIC VALUE RUN
emit()
{
	printf '{"bench":"%s","engine":"%s","device":"%s","rw":"%s","bs":%s,"qd":%s,"vqs":%s,"devices":%s,"metric":"%s","value":%s,"run":%s,"within":%s}\n' \
		"$bench" "$1" "$device" "$rw" "$bs" "$qd" "$vqs" "$devices" "$2" "$3" "$4" "$within" >>"$report"
}

# failed ENGINE WHY: the cell has no figure; the part goes on and fails.
failed()
{
	echo "bench: $bench: $1 on $where: $2" >&2
	status=1
}
