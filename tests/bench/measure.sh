# shellcheck shell=bash
# Measuring a cell with our client, for the parts that count instructions: in L1 under
# icount with one CPU, where the clock counts them. Sourced after cells.sh and devices.sh.

# shellcheck source=tests/bench/cells.sh
# shellcheck source=tests/bench/devices.sh

# Requests of a run, the first time.
requests=4000

# ask IOS ENGINE OPTION... TARGET...: our client on the cell.
ask()
{
	local total=$((qd * vqs * devices)) ios=$1

	[ $((total * 8)) -lt "$ios" ] || ios=$((total * 8))
	"$client" --engine "$2" --rw "$rw" --bs "$bs" --qd "$qd" --vqs "$vqs" --ios "$ios" \
		--warm-up "$((ios / 2))" "${@:3}"
}

# agree A B: or two instructions apart, where that is more.
agree()
{
	awk -v a="$1" -v b="$2" -v within="$within" \
		'BEGIN { d = a < b ? b - a : a - b; exit !(d <= 2 || d <= (a < b ? a : b) * within) }'
}

# How far two runs of ENGINE on the cell may be apart, into $within. The emulated NVMe
# answers when the host gets to it, so that what is batched differs; how many pieces 64k
# of a process's memory are is settled as it starts; kworkers of the in-tree vhost_scsi,
# and of LIO on the long way, take turns with its worker as the scheduler likes, and so do
# the workers of many devices; of the client 3 % are four instructions.
set_within()
{
	case $bench,$device,$bs,$devices,$1 in
	features,nvme*)			within=0.02 ;;
	*,nvme,65536,*)			within=0.2 ;;
	*,nvme,*)			within=0.1 ;;
	*,65536,*_small_pages|*,32,*|*,8,vhost_scsi_intree)	within=0.04 ;;
	*,client)			within=0.03 ;;
	*,65536,*|*,vhost_scsi_intree|*,vhost_scsi_long_way)	within=0.02 ;;
	*)				within=0.005 ;;
	esac
}

# ours NAME ENGINE OPTION... TARGET...: the cell, until two runs one after the other
# agree, each that is needed beyond the second with twice as many requests, to eight times;
# eight at most.
ours()
{
	local run metric value last='' ios=$requests

	set_within "$1"
	for run in 1 2 3 4 5 6 7 8; do
		[[ $run != [345] ]] || ios=$((ios * 2))
		ask $ios "${@:2}" >/tmp/figures 2>&1 || {
			failed "$1" "$(cat /tmp/figures)"
			return
		}
		while read -r metric value; do
			case $metric in
			busy_ns_per_io)	emit "$1" instructions_per_io "$value" $run ;;
			*_per_io)	emit "$1" "$metric" "$value" $run ;;
			esac
		done </tmp/figures
		read -r _ value </tmp/figures
		[ -z "$last" ] || ! agree "$last" "$value" || return 0
		last=$value
	done
}

# fio_once ENGINE OPTION...: instructions per request. Its time is in whole milliseconds,
# each a million instructions: it needs many requests.
fio_once()
{
	fio --name=cell --filename="${bare[0]}" --direct=1 --rw="$rw" --bs="$bs" \
		--iodepth="$qd" --iodepth_batch_submit="$qd" --iodepth_batch_complete_min=1 \
		--iodepth_batch_complete_max="$qd" --ioengine="$1" "${@:2}" \
		--number_ios=40000 --size=100% --io_size=100g --norandommap --randrepeat=1 \
		--invalidate=0 --output-format=json |
		jq '.jobs[0] | (.read, .write) | select(.total_ios > 0) | .runtime * 1e6 / .total_ios'
}

# fio's own engines, so that nobody needs to trust our client.
fio_engines()
{
	local run

	set_within fio
	for run in 1 2; do
		emit fio_io_uring instructions_per_io \
			"$(fio_once io_uring --fixedbufs --registerfiles)" "$run"
		emit fio_libaio instructions_per_io "$(fio_once libaio)" "$run"
	done
}

# What is compared: each by the name of its figures, the client's engine, and the array
# of its targets.
peers='io_uring:io_uring:bare vhost_blk:vhost_blk:bare vhost_scsi_intree:vhost_scsi:scsi
	qsd_vhost_user_blk:vhost_user_blk:user qsd_vhost_user_blk_aio:vhost_user_blk:user_aio'

# each COMMAND: with name, engine and targets of each that is compared.
each()
{
	local peer name engine targets

	for peer in $peers; do
		IFS=: read -r name engine targets <<<"$peer"
		local -n list=$targets
		"$1" "$name" "$engine" "${list[@]}"
	done
}

# measure DEVICE BS VQS DEPTHS PATTERNS: all that is compared, on what is served.
measure()
{
	local depth pattern

	for depth in $4; do
		for pattern in $5; do
			cell "$1" "$pattern" "$2" "$depth" "$3" "${#bare[@]}"
			echo "    $where" >&2
			ours client none "${bare[@]}"
			each ours
			case $1,$rw,$qd,$vqs,$devices in
			null_blk,randread,1,1,1|null_blk,randread,32,1,1)	fio_engines ;;
			esac
		done
	done
}

prepare()
{
	local number last=31

	[ "$1" != --quick ] || last=0
	huge_pages always
	modprobe -a vhost_blk crct10dif_pclmul
	modprobe brd rd_nr=1 rd_size=131072
	# Pages that are there already.
	dd if=/dev/zero of=/dev/ram0 bs=1M count=128 oflag=direct status=none
	for number in $(seq 0 $last); do
		nullb_new "nullb$number"
	done
	# shellcheck disable=SC2034 # the parts'
	nvme=$("$here/../../scripts/nvme-disk" testbed0)
	# shellcheck disable=SC2034
	nvme_pi=$("$here/../../scripts/nvme-disk" testbed1)
}
