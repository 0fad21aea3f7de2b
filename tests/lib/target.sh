# shellcheck shell=bash
# Targets of the vhost fabric with a block device or a file as LUN 0, as targetcli makes
# them; which module serves them is the caller's. Sourced.

target_lio=/sys/kernel/config/target
# Of what sort the backstores are: iblock_0, or fileio_0.
target_hba=iblock_0

# target_store NAME DEVICE: a backstore.
target_store()
{
	local store=$target_lio/core/$target_hba/$1

	modprobe -a target_core_mod target_core_iblock target_core_file
	mkdir -p "$store"
	case $target_hba in
	iblock_*) echo "udev_path=$2" ;;
	fileio_*) echo "fd_dev_name=$2,fd_dev_size=$(stat -c %s "$2")" ;;
	esac >"$store/control"
	echo 1 >"$store/enable"
}

# target_make WWPN NEXUS NAME: a target with that backstore.
target_make()
{
	local tpg=$target_lio/vhost/$1/tpgt_1

	mkdir -p "$tpg/lun/lun_0"
	echo "$2" >"$tpg/nexus"
	ln -s "$target_lio/core/$target_hba/$3" "$tpg/lun/lun_0/$3"
}

# target_free WWPN NAME: both gone.
target_free()
{
	local tpg=$target_lio/vhost/$1/tpgt_1

	rm -f "$tpg/lun/lun_0/$2"
	echo NULL >"$tpg/nexus"
	rmdir "$tpg/lun/lun_0" "$tpg" "${tpg%/*}" "$target_lio/core/$target_hba/$2"
}
