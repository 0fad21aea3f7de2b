# shellcheck shell=bash
# Targets of the vhost fabric with a block device as LUN 0, as targetcli makes them; which
# module serves them is the caller's. Sourced.

target_lio=/sys/kernel/config/target

# target_store NAME DEVICE: a backstore.
target_store()
{
	local store=$target_lio/core/iblock_0/$1

	modprobe -a target_core_mod target_core_iblock
	mkdir -p "$store"
	echo "udev_path=$2" >"$store/control"
	echo 1 >"$store/enable"
}

# target_make WWPN NEXUS NAME: a target with that backstore.
target_make()
{
	local tpg=$target_lio/vhost/$1/tpgt_1

	mkdir -p "$tpg/lun/lun_0"
	echo "$2" >"$tpg/nexus"
	ln -s "$target_lio/core/iblock_0/$3" "$tpg/lun/lun_0/$3"
}

# target_free WWPN NAME: both gone.
target_free()
{
	local tpg=$target_lio/vhost/$1/tpgt_1

	rm -f "$tpg/lun/lun_0/$2"
	echo NULL >"$tpg/nexus"
	rmdir "$tpg/lun/lun_0" "$tpg" "${tpg%/*}" "$target_lio/core/iblock_0/$2"
}
