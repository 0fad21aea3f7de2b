# shellcheck shell=bash
# NVMe over TCP, by the kernel's own target. Sourced.

nvmet_root=/sys/kernel/config/nvmet
nvmet_nqn=vst
nvmet_port=4420

# nvmet_export DISK ADDRESS: for whoever connects.
nvmet_export()
{
	local subsystem=$nvmet_root/subsystems/$nvmet_nqn port=$nvmet_root/ports/1

	modprobe nvmet-tcp
	mkdir "$subsystem" "$subsystem/namespaces/1" "$port"
	echo 1 >"$subsystem/attr_allow_any_host"
	echo "$1" >"$subsystem/namespaces/1/device_path"
	echo 1 >"$subsystem/namespaces/1/enable"
	echo ipv4 >"$port/addr_adrfam"
	echo tcp >"$port/addr_trtype"
	echo "$2" >"$port/addr_traddr"
	echo $nvmet_port >"$port/addr_trsvcid"
	ln -s "$subsystem" "$port/subsystems/$nvmet_nqn"
}

nvmet_unexport()
{
	local subsystem=$nvmet_root/subsystems/$nvmet_nqn port=$nvmet_root/ports/1

	[ -d "$port" ] || return 0
	rm -f "$port/subsystems/$nvmet_nqn"
	rmdir "$port" "$subsystem/namespaces/1" "$subsystem"
}

# nvmet_connect ADDRESS: what is exported there, into nvmet_disk.
nvmet_connect()
{
	local subsystem

	modprobe nvme-tcp
	nvme connect -t tcp -n $nvmet_nqn -a "$1" -s $nvmet_port >/dev/null
	until subsystem=$(grep -lx $nvmet_nqn /sys/class/nvme/nvme*/subsysnqn) &&
		nvmet_disk=/dev/$(basename "$(dirname "$subsystem")")n1 &&
		[ -b "$nvmet_disk" ]; do sleep 0.1; done 2>/dev/null
}

nvmet_disconnect()
{
	nvme disconnect -n $nvmet_nqn >/dev/null
}
