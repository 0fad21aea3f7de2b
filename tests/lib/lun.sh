# shellcheck shell=bash
# A LUN of vhost_scsi for a guest's disk. Sourced after l2.sh.

# shellcheck source=tests/lib/target.sh
. "$(dirname "${BASH_SOURCE[0]}")/target.sh"

lun_wwpn=naa.50014057636c3201
lun_tpg=$target_lio/vhost/$lun_wwpn/tpgt_1
lun_store=$target_lio/core/iblock_0/l2

# INTREE=1 in the environment: the kernel's own, to see what that does.
lun_module()
{
	modprobe -a vhost target_core_mod
	if [ -n "${INTREE-}" ]; then
		insmod "/lib/modules/$(uname -r)"/kernel/drivers/vhost/vhost_scsi.ko*
		return
	fi
	modprobe tcm_vhost
	[ -d /sys/module/vhost_storage/holders/vhost_scsi ] || fail "tcm_vhost is not ours"
}

# A target for the test with the disk of l2_prepare, or another one in $l2_disk, as LUN 0.
lun_prepare()
{
	trap 'l2_cleanup; lun_remove' EXIT
	lun_make
}

lun_make()
{
	lun_module
	target_store l2 "$l2_disk"
	# As targetcli does; without one there are no VPD pages to speak of.
	echo 50014057-636c-3203-0000-000000000000 >"$lun_store/wwn/vpd_unit_serial"
	lun_attributes
	target_make $lun_wwpn naa.50014057636c3202 l2
}

# What the backstore emulates, as far as its device can.
lun_attributes()
{
	local attribute

	for attribute in emulate_tpu emulate_tpws; do
		echo 1 2>/dev/null >"$lun_store/attrib/$attribute" || :
	done
}

lun_remove()
{
	[ -d "$lun_tpg" ] || return 0
	target_free $lun_wwpn l2
	rmdir $target_lio/vhost "${lun_store%/*}"
}
