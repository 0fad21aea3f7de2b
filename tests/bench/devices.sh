# shellcheck shell=bash
# The devices that are measured, and what serves them. Sourced.

# shellcheck source=tests/lib/nullb.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/nullb.sh"
# shellcheck source=tests/lib/target.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/target.sh"

declare -A qsd_pids

# The clients' memory, as a guest's, is in huge pages; or with `never` in small ones.
huge_pages()
{
	echo "$1" >/sys/kernel/mm/transparent_hugepage/enabled
	echo "$1" >/sys/kernel/mm/transparent_hugepage/shmem_enabled
}

# nullb_new NAME: a null_blk of 1 GiB without data, which completes a request as it is
# given it.
nullb_new()
{
	nullb_make "$1" size=1024 blocksize=512 irqmode=0 "submit_queues=$(nproc)"
}

# The kernel's own vhost_scsi; by its name ours would be loaded.
intree_load()
{
	[ ! -d /sys/module/vhost_scsi ] || return 0
	modprobe -a vhost vhost_iotlb
	insmod "/lib/modules/$(uname -r)"/kernel/drivers/vhost/vhost_scsi.ko*
}

# Ours in its place, and gone again.
ours_load()
{
	! rmdir "$target_lio/vhost" 2>/dev/null || rmmod vhost_scsi
	modprobe vhost_scsi
}

ours_unload()
{
	rmdir "$target_lio/vhost"
	rmmod vhost_scsi
}

lio_wwpn()
{
	printf naa.50014057636%05x "$1"
}

# lio_new NUMBER DEVICE: a target of the vhost fabric with DEVICE behind its LUN 0; its
# name into $wwpn.
lio_new()
{
	wwpn=$(lio_wwpn "$1")
	target_store "bench$1" "$2"
	intree_load
	target_make "$wwpn" "naa.50014057637$(printf %05x "$1")" "bench$1"
}

lio_free()
{
	target_free "$(lio_wwpn "$1")" "bench$1"
}

# qsd_start AIO DEVICE...: a qemu-storage-daemon with a vhost-user-blk export of each, at
# /tmp/AIO.NUMBER.
qsd_start()
{
	local aio=$1 number=0 options=()

	shift
	while [ $# -gt 0 ]; do
		options+=(--blockdev "host_device,node-name=d$number,filename=$1,cache.direct=on,aio=$aio"
			--export "vhost-user-blk,id=e$number,node-name=d$number,writable=on,num-queues=16,addr.type=unix,addr.path=/tmp/$aio.$number")
		number=$((number + 1))
		shift
	done
	qemu-storage-daemon "${options[@]}" &
	qsd_pids[$aio]=$!
	until [ -S "/tmp/$aio.$((number - 1))" ]; do
		kill -0 "${qsd_pids[$aio]}"
		sleep 0.1
	done
}

qsd_stop()
{
	kill "${qsd_pids[$1]}"
	wait "${qsd_pids[$1]}" || :
	rm -f "/tmp/$1".*
}

# serve DEVICE...: by everything that is compared, into arrays of what each engine of
# the client takes as its devices.
serve()
{
	local number

	bare=("$@") scsi=() user=() user_aio=()
	for number in "${!bare[@]}"; do
		lio_new "$number" "${bare[number]}"
		scsi+=("$wwpn,${bare[number]}")
		user+=("/tmp/io_uring.$number,${bare[number]}")
		user_aio+=("/tmp/native.$number,${bare[number]}")
	done
	qsd_start io_uring "$@"
	qsd_start native "$@"
}

serve_no_more()
{
	local number

	qsd_stop io_uring
	qsd_stop native
	for number in "${!bare[@]}"; do
		lio_free "$number"
	done
}
